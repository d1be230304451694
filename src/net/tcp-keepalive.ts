// Keepalive of TCP connections: how long a silence before the first probe, how long between probes, how many before giving up.
import type { Socket } from "node:net";
import { socketFd } from "./descriptor.ts";
import { loadLibc } from "./native.ts";

/** Settings of the kernel's probes. */
export interface Keepalive {
  readonly timeMs: number;
  readonly intervalMs: number;
  readonly probes: number;
}

const solSocket = 1;
const soKeepalive = 9;
const ipprotoTcp = 6;
const tcpKeepIdle = 4;
const tcpKeepInterval = 5;
const tcpKeepCount = 6;

// One buffer for the thread: setsockopt does not yield. An explicit ArrayBuffer never moves, small typed arrays may.
const value = new Uint32Array(new ArrayBuffer(4));

/**
 * Turns probes on for a connected socket. Without libc it is Node's own way, which sets the silence alone and takes its own
 * interval (1 s) and count (10).
 */
export function setKeepalive(socket: Socket, { timeMs, intervalMs, probes }: Keepalive): void {
  const libc = loadLibc();
  const fd = socketFd(socket);
  if (libc === undefined || fd < 0) {
    socket.setKeepAlive(true, timeMs);
    return;
  }
  const set = (level: number, option: number, wanted: number): void => {
    value[0] = wanted;
    // What the kernel does not take (0, or too much) stays as the system has it, as with Envoy.
    libc.setsockopt(fd, level, option, libc.address(new Uint8Array(value.buffer)), 4);
  };
  set(solSocket, soKeepalive, 1);
  set(ipprotoTcp, tcpKeepIdle, Math.round(timeMs / 1000));
  set(ipprotoTcp, tcpKeepInterval, Math.round(intervalMs / 1000));
  set(ipprotoTcp, tcpKeepCount, probes);
}
