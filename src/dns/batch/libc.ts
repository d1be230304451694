// The few system calls of the batching UDP path, through koffi; absent where koffi or the platform is not there.
import { endianness } from "node:os";
import { getSystemErrorName } from "node:util";
import type Koffi from "koffi";

/** `recvmmsg`: block for the first message only, then take what is there. */
export const MSG_WAITFORONE = 0x10000;
/** Never block: what cannot be sent now is lost, as datagrams are. */
export const MSG_DONTWAIT = 0x40;

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVTIMEO = 20;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const SHUT_RDWR = 2;

/**
 * Milliseconds a blocked receive lasts at most. `shutdown` wakes the thread sooner; this bounds how long a process that exits
 * without closing waits for its thread.
 */
const RECEIVE_TIMEOUT_MS = 200;
/** Bytes of receive buffer asked for: a burst of a few thousand queries while the thread is busy. */
const RECEIVE_BUFFER_BYTES = 1 << 20;

/** Raw memory that the kernel may write to at any time: it never moves. */
export interface FixedMemory {
  readonly address: bigint;
  readonly buffer: ArrayBuffer;
  free(): void;
}

/** The system calls, all on numbers: -1 is failure, `errno` says why. */
export interface Libc {
  recvmmsg(fd: number, headers: bigint, count: number, flags: number, timeout: null): number;
  sendmmsg(fd: number, headers: bigint, count: number, flags: number): number;
  sendto(fd: number, data: Uint8Array, length: number, flags: number, peer: Uint8Array, peerLength: number): number;
  /** Ends blocked receives on `fd`. */
  wake(fd: number): void;
  close(fd: number): void;
  /** Name of the last error, `EAGAIN`. */
  errorName(): string;
  allocate(bytes: number): FixedMemory;
  /** Creates and binds a UDP socket; throws an error as Node's own for what fails. */
  bindUdp(host: string, port: number, sockaddr: Buffer): { readonly fd: number; readonly port: number };
}

/** The calls, or why they are not to be had. */
export type LibcLoad = { readonly libc: Libc } | { readonly unavailable: string };

/** Loads the calls: there is an answer on every platform, and it is never an error. */
export async function loadLibc(): Promise<LibcLoad> {
  // The structures in slab.ts are laid out for this ABI.
  if (process.platform !== "linux" || endianness() !== "LE" || !["x64", "arm64"].includes(process.arch)) {
    return { unavailable: `no batching on ${process.platform} ${process.arch}` };
  }
  try {
    return { libc: bindLibc((await import("koffi")).default) };
  } catch (error) {
    return { unavailable: error instanceof Error ? error.message : String(error) };
  }
}

function bindLibc(koffi: typeof Koffi): Libc {
  const library = koffi.load(null);
  const socket = library.func("int socket(int, int, int)");
  const bind = library.func("int bind(int, const uint8_t *, uint32_t)");
  const getsockname = library.func("int getsockname(int, _Inout_ uint8_t *, _Inout_ uint32_t *)");
  const setsockopt = library.func("int setsockopt(int, int, int, const uint8_t *, uint32_t)");
  const shutdown = library.func("int shutdown(int, int)");
  const close = library.func("int close(int)");
  const errorName = (): string => getSystemErrorName(-koffi.errno());
  const option = (fd: number, level: number, name: number, value: Buffer): number =>
    setsockopt(fd, level, name, value, value.length) as number;
  const int = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(value);
    return bytes;
  };

  return {
    recvmmsg: library.func("int recvmmsg(int, uintptr_t, uint32_t, int, void *)") as Libc["recvmmsg"],
    sendmmsg: library.func("int sendmmsg(int, uintptr_t, uint32_t, int)") as Libc["sendmmsg"],
    sendto: library.func("intptr_t sendto(int, const uint8_t *, uintptr_t, int, const uint8_t *, uint32_t)") as Libc["sendto"],
    // An unconnected socket gets ENOTCONN, after the receivers have been woken.
    wake: (fd) => void shutdown(fd, SHUT_RDWR),
    close: (fd) => void close(fd),
    errorName,
    allocate: (bytes) => {
      const pointer = koffi.alloc("uint8_t", bytes) as bigint;
      return { address: koffi.address(pointer), buffer: koffi.view(pointer, bytes), free: () => koffi.free(pointer) };
    },
    bindUdp: (host, port, sockaddr) => {
      const family = sockaddr.readUInt16LE(0);
      const fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0) as number;
      const fail = (syscall: string): never => {
        const code = errorName();
        if (fd >= 0) close(fd);
        throw Object.assign(new Error(`${syscall} ${code} ${host}:${port}`), { code, syscall, address: host, port });
      };
      if (fd < 0) fail("socket");
      const timeout = Buffer.alloc(16);
      timeout.writeBigInt64LE(BigInt(RECEIVE_TIMEOUT_MS * 1000), 8);
      if (option(fd, SOL_SOCKET, SO_RCVTIMEO, timeout) < 0) fail("setsockopt");
      // As much of it as the system allows.
      option(fd, SOL_SOCKET, SO_RCVBUF, int(RECEIVE_BUFFER_BYTES));
      if (family === AF_INET6 && option(fd, IPPROTO_IPV6, IPV6_V6ONLY, int(1)) < 0) fail("setsockopt");
      if (bind(fd, sockaddr, sockaddr.length) < 0) fail("bind");
      const bound = Buffer.alloc(sockaddr.length);
      if (getsockname(fd, bound, [bound.length]) < 0) fail("getsockname");
      return { fd, port: bound.readUInt16BE(2) };
    },
  };
}

/** A `sockaddr_in` or `sockaddr_in6` for the address bytes (4 or 16) and `port`. */
export function encodeSockaddr(address: Uint8Array, port: number): Buffer {
  const v6 = address.length === 16;
  const sockaddr = Buffer.alloc(v6 ? 28 : 16);
  sockaddr.writeUInt16LE(v6 ? AF_INET6 : AF_INET, 0);
  sockaddr.writeUInt16BE(port, 2);
  sockaddr.set(address, v6 ? 8 : 4);
  return sockaddr;
}
