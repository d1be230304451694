// x-request-id values: random version 4 UUIDs, as Envoy makes them. They are made a batch at a time, because an
// id is needed for every request, and as one string, because a piece of that is cheaper than twenty concatenations.
import { randomFillSync } from "node:crypto";

const idBytes = 16;
const idLength = 36;
const batchIds = 256;
const random = Buffer.alloc(idBytes * batchIds);
const written = Buffer.alloc(idLength * batchIds, "-");
/** Where the digits of an id are: two for each byte, dashes between. */
const places = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
const digits = Buffer.from("0123456789abcdef");
let ids = "";
let at = 0;

/** A new request id. */
export function createRequestId(): string {
  if (at === ids.length) fill();
  const start = at;
  at += idLength;
  return ids.slice(start, at);
}

function fill(): void {
  randomFillSync(random);
  for (let id = 0; id < batchIds; id++) {
    for (let i = 0; i < idBytes; i++) {
      let byte = random[id * idBytes + i]!;
      if (i === 6) byte = (byte & 0x0f) | 0x40;
      else if (i === 8) byte = (byte & 0x3f) | 0x80;
      const place = id * idLength + places[i]!;
      written[place] = digits[byte >> 4]!;
      written[place + 1] = digits[byte & 15]!;
    }
  }
  ids = written.toString("latin1");
  at = 0;
}
