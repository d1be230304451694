// What a worker and the thread of a script say to each other. Headers are flat lists, because one string costs less than one object.
import type { MessagePort } from "node:worker_threads";
import type { FilterModule } from "./filter-api.ts";

/** A function that a script may export. */
export type Hook = keyof FilterModule;

/** Every hook, in the order they run. */
export const hookNames: readonly Hook[] = ["onRequestHeaders", "onRequestBody", "onResponseHeaders", "onResponseBody"];

/** What a thread is made with. */
export interface ThreadSettings {
  readonly module: string;
  readonly shared: SharedArrayBuffer;
  /** What the files held when the module was last loaded, by URL; absent: they are read. */
  readonly sources?: Sources | undefined;
  /** Load, say there how that went, set the signal to 1, and no more. */
  readonly check?: { readonly port: MessagePort; readonly signal: Int32Array };
}

/** The files of a module by URL, so that a thread that is replaced runs what the one before ran, whatever is written meanwhile. */
export type Sources = ReadonlyMap<string, { readonly format: string; readonly source: string }>;

/** One run of one hook. */
export interface Invocation {
  readonly hook: Hook;
  /** Which configuration; the thread is told it once. */
  readonly config: number;
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly scheme: string;
  readonly protocol: string;
  readonly remoteAddress: string;
  readonly peer: string;
  /** 0 in requests. */
  readonly status: number;
  /** Name, value, name, value ... */
  readonly headers: readonly string[];
  readonly body?: Uint8Array | undefined;
  readonly state?: Readonly<Record<string, unknown>> | undefined;
  readonly metadata?: ReadonlyMap<string, Record<string, unknown>> | undefined;
}

/** To the thread. */
export type ToThread =
  | { readonly kind: "run"; readonly id: number; readonly invocation: Invocation }
  | { readonly kind: "configure"; readonly config: number; readonly value: Readonly<Record<string, unknown>> }
  | { readonly kind: "ping" };

/** What a hook came to; absent is unchanged. */
export interface HookResult {
  readonly reply?: { readonly status: number; readonly headers: readonly string[]; readonly body: Uint8Array };
  /** Operation (`s` set, `a` append, `d` delete), name, value ... */
  readonly headerChanges?: readonly string[];
  readonly line?: Partial<Record<"method" | "path" | "authority", string>>;
  readonly status?: number;
  readonly body?: Uint8Array;
  readonly state?: Readonly<Record<string, unknown>>;
  readonly metadata?: readonly (readonly [namespace: string, key: string, value: unknown])[];
}

/** From the thread. */
export type FromThread =
  | { readonly kind: "loaded"; readonly hooks: readonly Hook[]; readonly files: readonly string[]; readonly sources: Sources }
  /** `message` begins with the place in the file, where that is known. */
  | { readonly kind: "unloadable"; readonly message: string; readonly files: readonly string[] }
  | { readonly kind: "done"; readonly id: number; readonly result: HookResult }
  | { readonly kind: "threw"; readonly id: number; readonly message: string }
  /** Something outside of any hook failed: a timer, a promise nobody waited for. */
  | { readonly kind: "stray"; readonly message: string }
  | { readonly kind: "pong" };

/** How many runs one thread may have under way; start times are kept in as many slots. */
export const maxUnderWay = 1024;

// Layout of the shared memory: the run whose synchronous part is going on, the last one that was begun, and when each was.
const startsAt = 8;

/** The thread's notes on what it is doing, which can be read also while it does nothing else. */
export interface RunBoard {
  /** Id of the run that has the thread to itself right now; 0: none, or what follows an await. */
  readonly numbers: Int32Array;
  /** Milliseconds by `sharedNowMs`, by id modulo maxUnderWay. */
  readonly starts: Float64Array;
}

/** Indexes into `numbers`. */
export const runningSlot = 0;
export const begunSlot = 1;

/** Memory for a board. */
export function createSharedBoard(): SharedArrayBuffer {
  return new SharedArrayBuffer(startsAt + maxUnderWay * Float64Array.BYTES_PER_ELEMENT);
}

/** A view of a board. */
export function readBoard(shared: SharedArrayBuffer): RunBoard {
  return { numbers: new Int32Array(shared, 0, 2), starts: new Float64Array(shared, startsAt, maxUnderWay) };
}

/** A time that threads agree on, in milliseconds. */
export function sharedNowMs(): number {
  return performance.timeOrigin + performance.now();
}
