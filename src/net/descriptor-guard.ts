// The process's limit on descriptors: some are kept for connections upstream, files and the admin server, so that running out
// refuses new connections and nothing else. Node itself raises the soft limit to the hard one when it starts.
import { readFileSync } from "node:fs";
import type { Clock } from "../clock.ts";
import type { Logger } from "../telemetry/logger.ts";

/** How many descriptors the process may have; Infinity where that is not known. */
export function descriptorLimit(): number {
  try {
    return Number(/^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? Infinity);
  } catch {
    // Not Linux, or no /proc.
    return Infinity;
  }
}

/** A limit below this is worth a word at the start: a proxied connection takes two, and pods usually have 1,048,576. */
export const fewDescriptors = 8192;

// A small part, but room for the connections upstream of what was accepted and not dialled yet.
const reservedPart = 1 / 8;
const maxReserved = 1024;
/** One line a minute says it all. */
const quietMs = 60_000;

/** Decides what is accepted, and tells the log of a shortage now and then. One for each thread. */
export class DescriptorGuard {
  readonly #limit: number;
  readonly #highest: number;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #refused = 0;
  #failed = 0;
  #quiet = false;

  /** @param limit `descriptorLimit` */
  constructor(limit: number, deps: { readonly clock: Clock; readonly logger: Logger }) {
    this.#limit = limit;
    this.#highest = limit - Math.min(maxReserved, Math.ceil(limit * reservedPart));
    this.#clock = deps.clock;
    this.#logger = deps.logger;
  }

  /** Whether an accepted connection with this descriptor may stay: the kernel gives the lowest free number, so a high one says that few are left. */
  admits(fd: number): boolean {
    if (fd < this.#highest) return true;
    this.#refused++;
    this.#tell();
    return false;
  }

  /** A connection upstream could not be opened for want of a descriptor. */
  failed(): void {
    this.#failed++;
    this.#tell();
  }

  #tell(): void {
    if (this.#quiet) return;
    this.#quiet = true;
    this.#logger.warn("descriptors run out: raise the limit on open files (ulimit -n, LimitNOFILE)", {
      limit: this.#limit,
      acceptedBelow: this.#highest,
      refused: this.#refused,
      failedUpstream: this.#failed,
    });
    this.#refused = 0;
    this.#failed = 0;
    this.#clock.after(quietMs, () => {
      this.#quiet = false;
      if (this.#refused + this.#failed > 0) this.#tell();
    });
  }
}
