// TCP sockets with options that take effect only before bind, where Node gives no moment to set them: opened through libc and
// handed over as descriptors.
import { isIPv6 } from "node:net";
import { getSystemErrorName } from "node:util";
import type { SocketAddress } from "../envoy/address.ts";
import type { UpstreamSource } from "../telemetry/stream-info.ts";
import { loadLibc } from "./native.ts";
import type { Libc } from "./native.ts";
import { addressFamily, encodeSockaddr } from "./sockaddr.ts";

/** What a listening socket needs beyond what Node offers. */
export interface ListenerSocketOptions {
  /** SO_REUSEPORT. */
  readonly reusePort: boolean;
  /** IP_TRANSPARENT: connections to any address may arrive here, which takes CAP_NET_ADMIN (Envoy's `transparent`). */
  readonly transparent: boolean;
  /** IP_FREEBIND: the address may be none of this machine's (Envoy's `freebind`). */
  readonly freebind: boolean;
}

/** A descriptor, the caller's to close; or an error with the errno's name as `code`, and the option or call as `syscall`. */
export type OpenedSocket = { readonly ok: true; readonly fd: number } | { readonly ok: false; readonly error: NodeJS.ErrnoException };

/** The `code` of the error where libc cannot be called. */
export const noLibc = "ERR_NO_LIBC";

const sockStream = 1;
const sockNonblock = 0o4000;
const sockCloexec = 0o2000000;

type SocketOption = readonly [name: string, level: number, option: number, value: number];
type Family = keyof typeof addressFamily;

const solIp = 0;
const solSocket = 1;
const solIpv6 = 41;
const reuseAddress: SocketOption = ["SO_REUSEADDR", solSocket, 2, 1];
const reusePortOption: SocketOption = ["SO_REUSEPORT", solSocket, 15, 1];
// A `::` socket would otherwise take IPv4 too and collide with a listener on 0.0.0.0; Envoy's default is the same.
const onlyIpv6: SocketOption = ["IPV6_V6ONLY", solIpv6, 26, 1];
const transparentOption: Readonly<Record<Family, SocketOption>> = {
  4: ["IP_TRANSPARENT", solIp, 19, 1],
  6: ["IPV6_TRANSPARENT", solIpv6, 75, 1],
};
const freebindOption: Readonly<Record<Family, SocketOption>> = { 4: ["IP_FREEBIND", solIp, 15, 1], 6: ["IPV6_FREEBIND", solIpv6, 78, 1] };
// The port is chosen at connect, when the destination is known: one port then serves as many connections as there are destinations.
const portAtConnect: SocketOption = ["IP_BIND_ADDRESS_NO_PORT", solIp, 24, 1];

const familyOf = (ip: string): Family => (isIPv6(ip) ? 6 : 4);

/** A socket bound to `address`, not yet listening. */
export function openListenerSocket({ address, port }: SocketAddress, options: ListenerSocketOptions): OpenedSocket {
  const family = familyOf(address);
  return open(address, port, [
    reuseAddress,
    ...(options.reusePort ? [reusePortOption] : []),
    ...(family === 6 ? [onlyIpv6] : []),
    ...(options.transparent ? [transparentOption[family]] : []),
    ...(options.freebind ? [freebindOption[family]] : []),
  ]);
}

/** A socket that connects from `source`, which takes CAP_NET_ADMIN. */
export function openSourceSocket({ ip, port, mark }: UpstreamSource): OpenedSocket {
  return open(ip, port, [
    transparentOption[familyOf(ip)],
    ...(mark === 0 ? [] : [["SO_MARK", solSocket, 36, mark] as const]),
    ...(port === 0 ? [portAtConnect] : [reuseAddress]),
  ]);
}

function open(ip: string, port: number, options: readonly SocketOption[]): OpenedSocket {
  const libc = loadLibc();
  if (libc === undefined) return { ok: false, error: Object.assign(new Error("libc cannot be called"), { code: noLibc }) };
  const fd = libc.socket(addressFamily[familyOf(ip)], sockStream | sockNonblock | sockCloexec, 0);
  if (fd < 0) return { ok: false, error: failure(libc, "socket") };
  const failed = options.find((option) => !setOption(libc, fd, option))?.[0] ?? (bind(libc, fd, ip, port) ? undefined : "bind");
  if (failed === undefined) return { ok: true, fd };
  const error = failure(libc, failed);
  libc.close(fd);
  return { ok: false, error };
}

// One buffer for the thread: setsockopt does not yield. An explicit ArrayBuffer never moves, small typed arrays may.
const optionValue = new Uint32Array(new ArrayBuffer(4));

function setOption(libc: Libc, fd: number, [, level, option, value]: SocketOption): boolean {
  optionValue[0] = value;
  return libc.setsockopt(fd, level, option, libc.address(new Uint8Array(optionValue.buffer)), 4) === 0;
}

function bind(libc: Libc, fd: number, ip: string, port: number): boolean {
  const sockaddr = encodeSockaddr({ ip, port });
  return libc.bind(fd, libc.address(sockaddr), sockaddr.length) === 0;
}

function failure(libc: Libc, syscall: string): NodeJS.ErrnoException {
  const code = getSystemErrorName(-libc.errno());
  return Object.assign(new Error(`${syscall} ${code}`), { code, syscall });
}
