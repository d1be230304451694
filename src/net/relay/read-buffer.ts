// Reading a socket into a buffer that is used again and again, instead of a new one for each read. Node offers this only to
// the one who constructs a socket (`onread`); for accepted and dialled sockets the same slots are filled in afterwards.
// Measured: bulk relaying costs about a fifth less CPU than `data` events. Where Node's inside has changed, `capture` says no.
import type { Socket } from "node:net";

/** Takes `length` bytes at the start of `buffer`; false stops reading until `socket.resume()`. */
export type ReadCallback = (length: number, buffer: Uint8Array) => boolean;

interface Handle {
  useUserBuffer?(buffer: Uint8Array): void;
}

interface Slots {
  readonly buffer: symbol;
  readonly callback: symbol;
  readonly next: symbol;
}

let slots: Slots | undefined;

function slotsOf(socket: Socket): Slots | undefined {
  if (slots) return slots;
  const named = (description: string): symbol | undefined =>
    Object.getOwnPropertySymbols(socket).find((symbol) => symbol.description === description);
  const buffer = named("kBuffer");
  const callback = named("kBufferCb");
  const next = named("kBufferGen");
  if (buffer && callback && next) slots = { buffer, callback, next };
  return slots;
}

/**
 * Redirects reads of a connected, paused socket with nothing buffered to `onRead`; `nextBuffer` gives the buffer for each
 * read. Returns false, with nothing changed, when that is not possible. Reading starts with `socket.resume()`; `end` and
 * `error` come as events as usual. Cannot be undone.
 */
export function captureReads(socket: Socket, nextBuffer: () => Uint8Array, onRead: ReadCallback): boolean {
  const handle = (socket as unknown as { readonly _handle?: Handle | null })._handle;
  const found = slotsOf(socket);
  if (!found || typeof handle?.useUserBuffer !== "function" || socket.readableLength > 0) return false;
  const first = nextBuffer();
  const inside = socket as unknown as Record<symbol, unknown>;
  inside[found.buffer] = first;
  inside[found.callback] = onRead;
  inside[found.next] = nextBuffer;
  handle.useUserBuffer(first);
  return true;
}
