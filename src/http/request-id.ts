// x-request-id values: random version 4 UUIDs, as Envoy makes them. Random bytes are drawn a batch at a time, because an id is
// needed for every request.
import { randomFillSync } from "node:crypto";

const hex = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
const batch = Buffer.alloc(16 * 256);
let at = batch.length;

/** A new request id. */
export function createRequestId(): string {
  if (at === batch.length) {
    randomFillSync(batch);
    at = 0;
  }
  const b = batch;
  const i = at;
  at += 16;
  return `${hex[b[i]!]}${hex[b[i + 1]!]}${hex[b[i + 2]!]}${hex[b[i + 3]!]}-${hex[b[i + 4]!]}${hex[b[i + 5]!]}-${hex[(b[i + 6]! & 0x0f) | 0x40]}${
    hex[b[i + 7]!]
  }-${hex[(b[i + 8]! & 0x3f) | 0x80]}${hex[b[i + 9]!]}-${hex[b[i + 10]!]}${hex[b[i + 11]!]}${hex[b[i + 12]!]}${hex[b[i + 13]!]}${hex[b[i + 14]!]}${
    hex[b[i + 15]!]
  }`;
}
