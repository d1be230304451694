// Kernel pipes for splice(2), used again by connection after connection; a connection holds one only while bytes are in it.
import type { Libc } from "../native.ts";

/** A pipe and how much fits into it. */
export interface Pipe {
  readonly readFd: number;
  readonly writeFd: number;
  readonly bytes: number;
}

const oNonblock = 0o4000;
const oCloexec = 0o2000000;
const fSetPipeSize = 1031;
const fGetPipeSize = 1032;
// Larger pipes mean fewer system calls per byte; 1 MiB is also what an unprivileged process may ask for.
const largeBytes = 1024 * 1024;
// The kernel allows an unprivileged user 64 MiB of pipe buffers before it makes new pipes tiny; other threads need some too.
const maxLarge = 24;
const maxFree = 64;

/** The pipes of one thread. */
export class PipePool {
  readonly #libc: Libc;
  readonly #free: Pipe[] = [];
  readonly #fds = new Int32Array(new ArrayBuffer(8));
  readonly #fdsAddress: number;
  #large = 0;

  constructor(libc: Libc) {
    this.#libc = libc;
    this.#fdsAddress = libc.address(new Uint8Array(this.#fds.buffer));
  }

  /** An empty pipe; undefined when the process is out of descriptors. */
  acquire(): Pipe | undefined {
    return this.#free.pop() ?? this.#create();
  }

  /** Takes a pipe back that is empty. */
  release(pipe: Pipe): void {
    if (this.#free.length < maxFree) this.#free.push(pipe);
    else this.discard(pipe);
  }

  /** Closes a pipe, with whatever is in it. */
  discard(pipe: Pipe): void {
    if (pipe.bytes >= largeBytes) this.#large--;
    this.#libc.close(pipe.readFd);
    this.#libc.close(pipe.writeFd);
  }

  #create(): Pipe | undefined {
    if (this.#libc.pipe2(this.#fdsAddress, oNonblock | oCloexec) !== 0) return undefined;
    const [readFd, writeFd] = this.#fds as unknown as [number, number];
    if (this.#large < maxLarge) this.#libc.fcntl(writeFd, fSetPipeSize, largeBytes);
    const bytes = Math.max(4096, this.#libc.fcntl(writeFd, fGetPipeSize, 0));
    if (bytes >= largeBytes) this.#large++;
    return { readFd, writeFd, bytes };
  }
}
