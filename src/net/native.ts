// The few libc calls that Node does not offer, through koffi. Where koffi or Linux is missing every caller has another way,
// so loading never throws: it gives undefined. Buffers are passed as addresses, which makes a call cost about 0.15 us.
import { createRequire } from "node:module";

/** A libc function with C ints and addresses as numbers; -1 with `errno()` set on failure. */
type Call = (...args: number[]) => number;

/** libc on Linux. Descriptors stay owned by whoever opened them. */
export interface Libc {
  readonly errno: () => number;
  readonly EAGAIN: number;
  readonly EINTR: number;
  /** Address of a view's first byte. The backing store must not be resized or transferred while the address is used. */
  readonly address: (view: Uint8Array) => number;
  readonly bind: Call;
  readonly close: Call;
  readonly epoll_create1: Call;
  readonly epoll_ctl: Call;
  readonly epoll_wait: Call;
  readonly eventfd: Call;
  /** fcntl with an integer argument. */
  readonly fcntl: Call;
  readonly getsockopt: Call;
  readonly setsockopt: Call;
  readonly pipe2: Call;
  readonly read: Call;
  readonly write: Call;
  /** Cheaper on sockets than read and write, which go through the file layer. */
  readonly recv: Call;
  readonly send: Call;
  readonly shutdown: Call;
  readonly socket: Call;
  readonly splice: Call;
}

let loaded: { readonly libc: Libc | undefined } | undefined;

/** libc, loaded on first use; undefined when this is not Linux or koffi is not installed for it. */
export function loadLibc(): Libc | undefined {
  loaded ??= { libc: process.platform === "linux" ? open() : undefined };
  return loaded.libc;
}

function open(): Libc | undefined {
  try {
    // koffi is optional at run time, and a static import of a missing or unloadable addon would end the process.
    const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
    const lib = koffi.load(null);
    const call = (name: string, result: string, args: string[]): Call => lib.func(name, result, args) as unknown as Call;
    return {
      errno: () => koffi.errno(),
      EAGAIN: koffi.os.errno["EAGAIN"] ?? 11,
      EINTR: koffi.os.errno["EINTR"] ?? 4,
      address: (view) => Number(koffi.address(view)),
      bind: call("bind", "int", ["int", "uintptr_t", "uint32"]),
      close: call("close", "int", ["int"]),
      epoll_create1: call("epoll_create1", "int", ["int"]),
      epoll_ctl: call("epoll_ctl", "int", ["int", "int", "int", "uintptr_t"]),
      epoll_wait: call("epoll_wait", "int", ["int", "uintptr_t", "int", "int"]),
      eventfd: call("eventfd", "int", ["uint32", "int"]),
      // Variadic in C; an int argument is passed the same way on every ABI that Node runs on under Linux.
      fcntl: call("fcntl", "int", ["int", "int", "int"]),
      getsockopt: call("getsockopt", "int", ["int", "int", "int", "uintptr_t", "uintptr_t"]),
      setsockopt: call("setsockopt", "int", ["int", "int", "int", "uintptr_t", "uint32"]),
      pipe2: call("pipe2", "int", ["uintptr_t", "int"]),
      read: call("read", "int64", ["int", "uintptr_t", "uintptr_t"]),
      write: call("write", "int64", ["int", "uintptr_t", "uintptr_t"]),
      recv: call("recv", "int64", ["int", "uintptr_t", "uintptr_t", "int"]),
      send: call("send", "int64", ["int", "uintptr_t", "uintptr_t", "int"]),
      shutdown: call("shutdown", "int", ["int", "int"]),
      socket: call("socket", "int", ["int", "int", "int"]),
      splice: call("splice", "int64", ["int", "uintptr_t", "int", "uintptr_t", "uintptr_t", "uint32"]),
    };
  } catch {
    // Not installed, or built for another libc: the portable ways are used.
    return undefined;
  }
}
