// The ranges that virtual addresses are handed out from: a numbered row of slots, each with one IPv4 and one IPv6 address.
import { isIP } from "node:net";

/** Both ranges, as CIDRs. */
export interface AddressRanges {
  readonly v4: string;
  readonly v6: string;
}

/** The addresses of one slot. */
export interface SlotAddresses {
  readonly v4: string;
  readonly v6: string;
}

/** A pair of ranges as slots. */
export interface AddressSlots {
  /** How many there are: every usable IPv4 address; of IPv6 there are always as many. */
  readonly count: number;
  at(slot: number): SlotAddresses;
  /** The slot of an address in either range, in any notation; undefined for one that is never handed out. */
  slotOf(address: string): number | undefined;
}

/** Istio's ranges: class E, which nobody routes, and the benchmarking block of RFC 5180. */
export const defaultRanges: AddressRanges = { v4: "240.240.0.0/16", v6: "2001:2::/48" };

// A /30 has two usable addresses; wider than /8 leaves nothing of class E to others.
const v4Lengths = { min: 8, max: 30 } as const;
// The last 32 bits name the slot.
const v6Lengths = { min: 8, max: 96 } as const;

/** What is wrong with one range, or undefined. */
export function rangeProblem(range: string, family: 4 | 6): string | undefined {
  const [prefix = "", length = "", ...rest] = range.split("/");
  const limits = family === 4 ? v4Lengths : v6Lengths;
  const bits = Number(length);
  if (rest.length > 0 || isIP(prefix) !== family || !/^\d{1,3}$/.test(length))
    return `"${range}" is no IPv${family} range, expected a CIDR such as ${family === 4 ? defaultRanges.v4 : defaultRanges.v6}`;
  if (bits < limits.min || bits > limits.max)
    return `"${range}" ${bits > limits.max ? "is too small" : "is too large"}, expected a prefix of ${limits.min} to ${limits.max} bits`;
  return undefined;
}

/**
 * Lays the slots out over ranges that `rangeProblem` has nothing to say about: in blocks as Istio's legacy allocator does, or
 * plainly, one address after the other, as its controller does.
 */
export function layOutSlots(ranges: AddressRanges, order: "blocks" | "plain"): AddressSlots {
  const [prefix4 = "", length = ""] = ranges.v4.split("/");
  const bits = 32 - Number(length);
  const base4 = Number(parseV4(prefix4) & ~((1n << BigInt(bits)) - 1n));
  const [prefix6 = "", length6 = ""] = ranges.v6.split("/");
  const network6 = parseV6(prefix6) & ~((1n << (128n - BigInt(length6))) - 1n);
  const head6 = Array.from({ length: 6 }, (_, index) => ((network6 >> BigInt(112 - 16 * index)) & 0xffffn).toString(16));
  // The legacy allocator puts f0f0 (240.240) before the last 16 bits, whatever the IPv4 range. No offset is as large as to carry.
  const low6 = order === "plain" ? 0 : 0xf0f0_0000;
  const layout = order === "blocks" && bits >= 8 ? wholeBlocks(2 ** (bits - 8)) : oneByOne(2 ** bits);
  const at = (slot: number): SlotAddresses => {
    const offset = layout.offsetOf(slot);
    const low = low6 + offset;
    return { v4: formatV4(base4 + offset), v6: formatV6([...head6, Math.floor(low / 65_536).toString(16), (low % 65_536).toString(16)]) };
  };
  const slotOfOffset = (offset: number): number | undefined => (offset < 0 || offset >= 2 ** bits ? undefined : layout.slotOf(offset));
  return {
    count: layout.count,
    at,
    slotOf: (address) => {
      const family = isIP(address);
      if (family === 4) return slotOfOffset(Number(parseV4(address)) - base4);
      if (family !== 6) return undefined;
      const offset = parseV6(address) - network6 - BigInt(low6);
      return offset < 0n || offset > 0xffff_ffffn ? undefined : slotOfOffset(Number(offset));
    },
  };
}

interface Layout {
  readonly count: number;
  offsetOf(slot: number): number;
  slotOf(offset: number): number | undefined;
}

/** All but the first and last address of the range. */
function oneByOne(size: number): Layout {
  return {
    count: size - 2,
    offsetOf: (slot) => slot + 1,
    slotOf: (offset) => (offset >= 1 && offset <= size - 2 ? offset - 1 : undefined),
  };
}

/**
 * Blocks of 256 without .0 and .255. Slot S is 255 a block and counted from 1, as in Istio's legacy allocator, so that its
 * addresses come out; the slots that would be .0 take what is left at the end, where Istio shifts every later address instead.
 */
function wholeBlocks(blocks: number): Layout {
  const count = blocks * 254;
  const partial = 254 - (count % 255);
  const spill = (index: number): number => {
    if (index <= partial) return count + index;
    const rest = index - partial - 1;
    return 255 * (Math.floor(count / 255) + 1 + Math.floor(rest / 254)) + 1 + (rest % 254);
  };
  const positionOf = (slot: number): number => ((slot + 1) % 255 === 0 ? spill((slot + 1) / 255) : slot + 1);
  const slotOfPosition = (position: number): number => {
    if (position <= count) return position - 1;
    const behind = position - count <= partial ? position - count : spillIndex(position, count, partial);
    return 255 * behind - 1;
  };
  return {
    count,
    offsetOf: (slot) => {
      const position = positionOf(slot);
      return Math.floor(position / 255) * 256 + (position % 255);
    },
    slotOf: (offset) => {
      const last = offset % 256;
      return last === 0 || last === 255 ? undefined : slotOfPosition(Math.floor(offset / 256) * 255 + last);
    },
  };
}

function spillIndex(position: number, count: number, partial: number): number {
  const block = Math.floor(position / 255) - Math.floor(count / 255) - 1;
  return partial + 1 + block * 254 + (position % 255) - 1;
}

function parseV4(address: string): bigint {
  return address.split(".").reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

function parseV6(address: string): bigint {
  const [head = "", tail] = withoutDots(address).split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => "0");
  return [...left, ...zeros, ...right].reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

/** `::ffff:1.2.3.4` with its end in groups; a zone is left out. */
function withoutDots(address: string): string {
  const [plain = ""] = address.split("%");
  const dotted = plain.slice(plain.lastIndexOf(":") + 1);
  if (!dotted.includes(".")) return plain;
  const value = parseV4(dotted);
  return `${plain.slice(0, -dotted.length)}${(value >> 16n).toString(16)}:${(value & 0xffffn).toString(16)}`;
}

function formatV4(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
}

/** RFC 5952: the longest run of zero groups, the first of several, as `::`; a single one stays. */
function formatV6(groups: readonly string[]): string {
  let [start, length] = [0, 1];
  for (let index = 0, run = 0; index < groups.length; index++) {
    run = groups[index] === "0" ? run + 1 : 0;
    if (run > length) [start, length] = [index - run + 1, run];
  }
  if (length === 1) return groups.join(":");
  return `${groups.slice(0, start).join(":")}::${groups.slice(start + length).join(":")}`;
}
