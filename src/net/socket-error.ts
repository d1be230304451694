// The pending error of a TCP socket (SO_ERROR). It tells a peer that closed before it got our bytes (its kernel answered
// them with RST) from one that read them and then closed: only the first makes a resend safe.
import type { Socket } from "node:net";
import { socketFd } from "./descriptor.ts";
import { loadLibc } from "./native.ts";

const SOL_SOCKET = 1;
const SO_ERROR = 4;

// An explicit ArrayBuffer never moves; small typed arrays may.
const value = new Int32Array(new ArrayBuffer(4));
const length = new Uint32Array(new ArrayBuffer(4));

/** True when the peer's kernel refused bytes that this side wrote; false when that is not known. Reading clears it. */
export function wasRefusedByPeer(socket: Socket): boolean {
  const libc = loadLibc();
  const fd = socketFd(socket);
  if (libc === undefined || fd < 0) return false;
  length[0] = 4;
  const failed = libc.getsockopt(
    fd,
    SOL_SOCKET,
    SO_ERROR,
    libc.address(new Uint8Array(value.buffer)),
    libc.address(new Uint8Array(length.buffer)),
  );
  return failed === 0 && value[0] !== 0;
}

/** True when the peer's FIN was read or the system reported an error, before this side closed. */
export function endedByPeer(socket: Socket): boolean {
  return socket.readableEnded || (socket.errored as NodeJS.ErrnoException | null)?.syscall !== undefined;
}
