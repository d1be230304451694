// IP addresses and CIDR ranges as numbers: parse, contain, and find by longest prefix. IPv4-mapped IPv6 addresses are IPv4,
// because a dual-stack socket reports IPv4 peers in that form.
import { isIPv4, isIPv6 } from "node:net";
import type { CidrRange } from "../envoy/address.ts";

/** An address as one (IPv4) or four (IPv6) unsigned 32-bit words, most significant first. */
export type IpWords = readonly [number] | readonly [number, number, number, number];

/** The words of an IP literal, or undefined when it is none. Zone ids (`fe80::1%eth0`) are dropped. */
export function parseIp(text: string): IpWords | undefined {
  if (isIPv4(text)) return [parseV4(text)];
  const zone = text.indexOf("%");
  const bare = zone < 0 ? text : text.slice(0, zone);
  if (!isIPv6(bare)) return undefined;
  const words = parseV6(bare);
  return words[0] === 0 && words[1] === 0 && words[2] === 0xffff ? [words[3]] : words;
}

function parseV4(text: string): number {
  let word = 0;
  for (const octet of text.split(".")) word = word * 256 + Number(octet);
  return word;
}

function parseV6(text: string): readonly [number, number, number, number] {
  const lastColon = text.lastIndexOf(":");
  const tail = text.slice(lastColon + 1);
  // A dotted tail stands for the last two groups.
  const plain = tail.includes(".")
    ? `${text.slice(0, lastColon + 1)}${(parseV4(tail) >>> 16).toString(16)}:${(parseV4(tail) & 0xffff).toString(16)}`
    : text;
  const [left, right] = plain.split("::") as [string, string | undefined];
  const head = left === "" ? [] : left.split(":");
  const rest = right === undefined || right === "" ? [] : right.split(":");
  const groups = [...head, ...Array.from({ length: 8 - head.length - rest.length }, () => "0"), ...rest].map((group) =>
    Number.parseInt(group, 16),
  );
  const word = (i: number): number => (groups[i] as number) * 65536 + (groups[i + 1] as number);
  return [word(0), word(2), word(4), word(6)];
}

/** True for 127.0.0.0/8 and ::1. */
export function isLoopback(ip: IpWords): boolean {
  return ip.length === 1 ? ip[0] >>> 24 === 127 : ip[0] === 0 && ip[1] === 0 && ip[2] === 0 && ip[3] === 1;
}

// The words with everything behind the first `length` bits cleared, as a map key. Words of the two families never
// meet in one map, so the key needs no family.
function prefixKey(ip: IpWords, length: number): string | number {
  if (ip.length === 1) return maskWord(ip[0], length);
  return `${maskWord(ip[0], length)}:${maskWord(ip[1], length - 32)}:${maskWord(ip[2], length - 64)}:${maskWord(ip[3], length - 96)}`;
}

function maskWord(word: number, bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? word : (word & (0xffffffff << (32 - bits))) >>> 0;
}

/** A range, parsed: the network's words and how many leading bits count. */
export interface ParsedCidr {
  readonly words: IpWords;
  readonly length: number;
}

/** Parses a range; undefined when the address is no IP literal or the length does not fit its family. Host bits are ignored, as Envoy does. */
export function parseCidr(range: CidrRange): ParsedCidr | undefined {
  const words = parseIp(range.addressPrefix);
  if (!words || !Number.isInteger(range.prefixLen) || range.prefixLen < 0) return undefined;
  // A mapped range (::ffff:a.b.c.d/112 and longer) counts its bits behind the 96 of the mapping.
  const length = words.length === 1 && range.addressPrefix.includes(":") ? range.prefixLen - 96 : range.prefixLen;
  return length >= 0 && length <= words.length * 32 ? { words, length } : undefined;
}

/** True when `ip` is inside `range`; addresses of another family never are. */
export function cidrContains(range: ParsedCidr, ip: IpWords): boolean {
  return range.words.length === ip.length && prefixKey(range.words, range.length) === prefixKey(ip, range.length);
}

interface PrefixLevel<T> {
  readonly length: number;
  readonly values: Map<string | number, T>;
}

/** Values by CIDR range, found by longest prefix: one map look-up for each prefix length in use. */
export class PrefixTable<T> {
  // Longest first, one list a family.
  readonly #v4: PrefixLevel<T>[] = [];
  readonly #v6: PrefixLevel<T>[] = [];

  /** The value at exactly this range; `make` creates it when there is none. */
  getOrAdd(range: ParsedCidr, make: () => T): T {
    const levels = range.words.length === 1 ? this.#v4 : this.#v6;
    let level = levels.find((candidate) => candidate.length === range.length);
    if (!level) {
      level = { length: range.length, values: new Map() };
      levels.push(level);
      levels.sort((a, b) => b.length - a.length);
    }
    const key = prefixKey(range.words, range.length);
    const found = level.values.get(key);
    if (found !== undefined) return found;
    const made = make();
    level.values.set(key, made);
    return made;
  }

  /** The value of the longest range that contains `ip`. */
  find(ip: IpWords): T | undefined {
    for (const level of ip.length === 1 ? this.#v4 : this.#v6) {
      const found = level.values.get(prefixKey(ip, level.length));
      if (found !== undefined) return found;
    }
    return undefined;
  }
}
