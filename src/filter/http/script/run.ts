// One run of a hook, from the request that asks for it to what it came to.
import type { HookResult, Invocation } from "./messages.ts";

/** What may be spent. */
export interface ThreadLimits {
  readonly module: string;
  /** For one run, milliseconds from its begin. */
  readonly timeoutMs: number;
  /** Of JavaScript's heap, and again of what lies outside of it (bytes of buffers). */
  readonly memoryBytes: number;
}

/** Why a run gave no result. */
export type RunFailure = "exception" | "timeout" | "out_of_memory" | "thread_ended";

/** What a run came to. */
export type RunOutcome =
  | { readonly ok: true; readonly result: HookResult }
  | { readonly ok: false; readonly failure: RunFailure; readonly message: string };

/** A run that was asked for. */
export interface Run {
  readonly invocation: Invocation;
  readonly config: Readonly<Record<string, unknown>>;
  /** How often it was under way in a thread that was ended. */
  lost: number;
  /** Nobody waits for it any more. */
  cancelled: boolean;
  readonly askedMs: number;
  /** Called once. */
  readonly onDone: (outcome: RunOutcome) => void;
}

const reasons: Readonly<Record<RunFailure, string>> = {
  exception: "threw",
  timeout: "kept its thread busy for longer than it may",
  out_of_memory: "took more memory than it may",
  thread_ended: "ended its thread",
};

/** The outcome of a run that gave no result. */
export function failed(failure: RunFailure, message: string): RunOutcome {
  return { ok: false, failure, message };
}

/** The outcome of a run that is to blame for the end of its thread. */
export function endedThread({ module }: ThreadLimits, failure: RunFailure): RunOutcome {
  return failed(failure, `${module}: ${reasons[failure]}`);
}

/** The outcome of a run that took too long in a thread that serves on. */
export function timedOut({ module, timeoutMs }: ThreadLimits): RunOutcome {
  return failed("timeout", `${module}: took longer than ${timeoutMs} ms`);
}

/** Tells whoever asked, if he still waits. */
export function finish(run: Run, outcome: RunOutcome): void {
  if (!run.cancelled) run.onDone(outcome);
}

/** As `finish`, but never within the call that asked. */
export function finishLater(run: Run, outcome: RunOutcome): void {
  queueMicrotask(() => finish(run, outcome));
}
