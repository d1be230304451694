// What the batching thread and the main thread say to each other. The thread sits in a system call, so it is told through
// shared memory, which it reads after every batch, and through a port that it empties when told to.
import type { MessagePort } from "node:worker_threads";
import type { AnswerSettings } from "../answer.ts";

/** Positions in the shared control words. */
export const control = {
  /** 1: the thread ends. */
  closing: 0,
  /** Raised after a table has been posted. */
  generation: 1,
  /** Messages handed to the main thread and not yet settled there. */
  handedOver: 2,
  /** Queries the thread has answered from the table; wraps around. */
  answered: 3,
  /** 1: queries are logged, which the main thread does, so it gets all it can take. */
  logging: 4,
  /** Queries the thread has refused because the main thread is behind; wraps around. */
  refused: 5,
  words: 6,
} as const;

/** What the thread starts with. */
export interface BatchThreadData {
  readonly fd: number;
  readonly control: Int32Array;
  readonly answers: AnswerSettings;
  /** Brings a NameTable each time the generation is raised. */
  readonly tables: MessagePort;
}

/** A message that the main thread is to handle. */
export interface HandedMessage {
  readonly request: Uint8Array;
  /** The sender's `sockaddr`. */
  readonly peer: Uint8Array;
}

/** From the thread: it is about to serve, or it cannot, or messages for the main thread. */
export type ThreadReport = "ready" | "unavailable" | readonly HandedMessage[];
