// Where a redirected connection was going before netfilter changed it: getsockopt SO_ORIGINAL_DST, for IPv4 and IPv6.
import { loadLibc } from "./native.ts";
import type { Libc } from "./native.ts";
import { decodeSockaddr, type KernelAddress, sockaddrBytes } from "./sockaddr.ts";

// SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST are both 80; only the level differs (SOL_IP, SOL_IPV6).
const soOriginalDst = 80;
const solIp = 0;
const solIpv6 = 41;

// One buffer for the thread: getsockopt does not yield. An explicit ArrayBuffer never moves, small typed arrays may.
const sockaddr = new Uint8Array(new ArrayBuffer(sockaddrBytes));
const length = new Uint32Array(new ArrayBuffer(4));
let addresses: { readonly sockaddr: number; readonly length: number } | undefined;

/** Whether this process can ask at all: on Linux, with koffi. */
export function canReadOriginalDestination(): boolean {
  return loadLibc() !== undefined;
}

/** The destination before redirection; undefined when there was none, this is not Linux, or koffi is absent. */
export function originalDestination(fd: number, family: 4 | 6): KernelAddress | undefined {
  const libc = loadLibc();
  if (!libc || fd < 0) return undefined;
  addresses ??= { sockaddr: libc.address(sockaddr), length: libc.address(new Uint8Array(length.buffer)) };
  return family === 4 ? query(libc, fd, solIp, addresses) : (query(libc, fd, solIpv6, addresses) ?? query(libc, fd, solIp, addresses));
}

function query(
  libc: Libc,
  fd: number,
  level: number,
  at: { readonly sockaddr: number; readonly length: number },
): KernelAddress | undefined {
  length[0] = sockaddrBytes;
  if (libc.getsockopt(fd, level, soOriginalDst, at.sockaddr, at.length) !== 0) return undefined;
  return decodeSockaddr(sockaddr);
}
