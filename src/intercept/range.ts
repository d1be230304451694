// IP ranges of settings, and in the one form in which equal ranges compare equal.
import { isIP } from "node:net";
import { isLoopback, parseCidr, parseIp } from "../match/cidr.ts";
import type { Range } from "./settings.ts";

/** Reads ADDRESS/BITS; undefined when it is none. */
export function readRange(text: string): Range | undefined {
  const [, address = "", bits = ""] = /^([0-9a-fA-F.:]+)\/(\d{1,3})$/.exec(text) ?? [];
  const family = isIP(address);
  const words = parseIp(address);
  if (words === undefined || (family !== 4 && family !== 6) || Number(bits) > (family === 4 ? 32 : 128)) return undefined;
  return { cidr: text, family, loopback: isLoopback(words) };
}

/** The network's words in hexadecimal and its length; text that is no range stays as it is. A bare address is a range of one. */
export function canonicalRange(text: string): string {
  const [address = "", bits] = text.split("/");
  const whole = address.includes(":") ? 128 : 32;
  const parsed = parseCidr({ addressPrefix: address, prefixLen: bits === undefined ? whole : Number(bits) });
  if (parsed === undefined) return text;
  const words = parsed.words.map((word, index) => {
    const kept = Math.min(32, Math.max(0, parsed.length - index * 32));
    return (kept === 0 ? 0 : (word & (0xffffffff << (32 - kept))) >>> 0).toString(16);
  });
  return `${words.join(":")}/${parsed.length}`;
}
