// IP addresses as the bytes that A and AAAA records carry. Pure functions.
import { isIP } from "node:net";
import { writeUint16 } from "./codec.ts";

const DOT = 0x2e;
const DIGIT_ZERO = 0x30;
const COLON = 0x3a;

/** The 4 or 16 bytes of an IP address (a zone is dropped); undefined when `text` is not one. */
export function encodeAddress(text: string): Buffer | undefined {
  const bytes = Buffer.alloc(16);
  const length = writeAddress(text, bytes, 0);
  return length === 0 ? undefined : bytes.subarray(0, length);
}

/** Writes the 4 or 16 bytes of an IP address to `out` at `at`, where 16 are free; returns how many, 0 when `text` is not one. */
export function writeAddress(text: string, out: Uint8Array, at: number): number {
  const family = isIP(text);
  if (family === 0) return 0;
  const zone = text.indexOf("%");
  const to = zone < 0 ? text.length : zone;
  if (family === 4) writeIPv4(text, 0, to, out, at);
  else writeIPv6(text, to, out, at);
  return family === 4 ? 4 : 16;
}

/** Writes the four numbers of `text[from, to)`, which are known to be an address. */
function writeIPv4(text: string, from: number, to: number, out: Uint8Array, at: number): void {
  let next = at;
  out[next] = 0;
  for (let i = from; i < to; i++) {
    const code = text.charCodeAt(i);
    if (code === DOT) out[++next] = 0;
    else out[next] = out[next]! * 10 + code - DIGIT_ZERO;
  }
}

/** Writes the groups of `text[0, to)`, which are known to be an address, and moves those behind `::` to the end. */
function writeIPv6(text: string, to: number, out: Uint8Array, at: number): void {
  let next = at;
  let gap = -1;
  for (let i = 0; i < to; i++) {
    if (text.charCodeAt(i) === COLON) {
      if (text.charCodeAt(i + 1) === COLON) gap = next;
      continue;
    }
    const from = i;
    let group = 0;
    while (i < to && text.charCodeAt(i) !== COLON && text.charCodeAt(i) !== DOT) group = (group << 4) | hexDigit(text.charCodeAt(i++));
    if (text.charCodeAt(i) === DOT && i < to) {
      writeIPv4(text, from, to, out, next);
      next += 4;
      break;
    }
    writeUint16(out, next, group);
    next += 2;
    // The colon, or the first of two, is looked at next.
    i--;
  }
  if (gap < 0) return;
  out.copyWithin(at + 16 - (next - gap), gap, next);
  out.fill(0, gap, at + 16 - (next - gap));
}

function hexDigit(code: number): number {
  return code < 0x3a ? code - DIGIT_ZERO : (code | 0x20) - 0x57;
}
