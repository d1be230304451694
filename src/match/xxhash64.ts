// xxHash64 (the hash behind Envoy's hash policies and ring hash) on 32-bit halves: BigInt would allocate for every step.
// Strings are latin1: one character is one byte.

/** A 64-bit value as two unsigned 32-bit halves. */
export interface Hash64 {
  readonly hi: number;
  readonly lo: number;
}

/** Hashes the bytes of `text`; `seed` chains hashes of several values, as Envoy does for repeated headers. */
export function xxHash64(text: string, seed: Hash64 = zero): Hash64 {
  const length = text.length;
  let at = 0;
  const h = new Word(0, 0);
  if (length >= 32) {
    const lanes = [
      new Word(seed.hi, seed.lo).add(P1H, P1L).add(P2H, P2L),
      new Word(seed.hi, seed.lo).add(P2H, P2L),
      new Word(seed.hi, seed.lo),
      // Adding the two's complement of P1 subtracts it.
      new Word(seed.hi, seed.lo).add(~P1H, -P1L | 0),
    ] as const;
    for (; at + 32 <= length; at += 32) {
      lanes[0].round(read32(text, at + 4), read32(text, at));
      lanes[1].round(read32(text, at + 12), read32(text, at + 8));
      lanes[2].round(read32(text, at + 20), read32(text, at + 16));
      lanes[3].round(read32(text, at + 28), read32(text, at + 24));
    }
    const rotations = [1, 7, 12, 18] as const;
    for (const [i, lane] of lanes.entries()) {
      const turned = new Word(lane.hi, lane.lo).rotateLeft(rotations[i]!);
      h.add(turned.hi, turned.lo);
    }
    for (const lane of lanes) h.merge(lane);
  } else {
    h.set(seed.hi, seed.lo).add(P5H, P5L);
  }
  h.add(0, length);

  const word = new Word(0, 0);
  for (; at + 8 <= length; at += 8) {
    word.set(0, 0).round(read32(text, at + 4), read32(text, at));
    h.xor(word.hi, word.lo).rotateLeft(27).multiply(P1H, P1L).add(P4H, P4L);
  }
  if (at + 4 <= length) {
    word.set(0, read32(text, at)).multiply(P1H, P1L);
    h.xor(word.hi, word.lo).rotateLeft(23).multiply(P2H, P2L).add(P3H, P3L);
    at += 4;
  }
  for (; at < length; at++) {
    word.set(0, text.charCodeAt(at) & 0xff).multiply(P5H, P5L);
    h.xor(word.hi, word.lo).rotateLeft(11).multiply(P1H, P1L);
  }
  h.shiftXor(33).multiply(P2H, P2L).shiftXor(29).multiply(P3H, P3L).shiftXor(32);
  return { hi: h.hi >>> 0, lo: h.lo >>> 0 };
}

/** The value modulo a size of up to 32 bits. */
export function remainder({ hi, lo }: Hash64, size: number): number {
  // Up to 2^26 no product reaches 2^53.
  if (size > 0x400_0000) return Number(((BigInt(hi) << 32n) | BigInt(lo)) % BigInt(size));
  return ((hi % size) * (0x100000000 % size) + lo) % size;
}

/** 16 lower-case hex digits. */
export function hashToHex(hash: Hash64): string {
  return hash.hi.toString(16).padStart(8, "0") + hash.lo.toString(16).padStart(8, "0");
}

const zero: Hash64 = { hi: 0, lo: 0 };

// The algorithm's five primes, high and low halves.
const P1H = 0x9e3779b1 | 0;
const P1L = 0x85ebca87 | 0;
const P2H = 0xc2b2ae3d | 0;
const P2L = 0x27d4eb4f | 0;
const P3H = 0x165667b1 | 0;
const P3L = 0x9e3779f9 | 0;
const P4H = 0x85ebca77 | 0;
const P4L = 0xc2b2ae63 | 0;
const P5H = 0x27d4eb2f | 0;
const P5L = 0x165667c5 | 0;

// A mutable 64-bit accumulator; halves are int32.
class Word {
  hi: number;
  lo: number;

  constructor(hi: number, lo: number) {
    this.hi = hi | 0;
    this.lo = lo | 0;
  }

  set(hi: number, lo: number): this {
    this.hi = hi | 0;
    this.lo = lo | 0;
    return this;
  }

  add(hi: number, lo: number): this {
    const sum = (this.lo >>> 0) + (lo >>> 0);
    this.hi = (this.hi + hi + (sum > 0xffffffff ? 1 : 0)) | 0;
    this.lo = sum | 0;
    return this;
  }

  xor(hi: number, lo: number): this {
    this.hi ^= hi;
    this.lo ^= lo;
    return this;
  }

  /** `bits` is 1 to 31. */
  rotateLeft(bits: number): this {
    const { hi, lo } = this;
    this.hi = (hi << bits) | (lo >>> (32 - bits));
    this.lo = (lo << bits) | (hi >>> (32 - bits));
    return this;
  }

  /** x ^= x >> bits; `bits` is 1 to 63. */
  shiftXor(bits: number): this {
    const { hi, lo } = this;
    if (bits >= 32) this.lo = lo ^ (hi >>> (bits - 32));
    else {
      this.lo = lo ^ ((lo >>> bits) | (hi << (32 - bits)));
      this.hi = hi ^ (hi >>> bits);
    }
    return this;
  }

  multiply(hi: number, lo: number): this {
    const a0 = this.lo & 0xffff;
    const a1 = this.lo >>> 16;
    const b0 = lo & 0xffff;
    const b1 = lo >>> 16;
    // The high half of the 32x32 product of the low halves, in parts that stay below 2^53.
    const middle = a1 * b0 + Math.floor((a0 * b0) / 0x10000);
    const carry = Math.floor(middle / 0x10000) + a1 * b1 + Math.floor(((middle & 0xffff) + a0 * b1) / 0x10000);
    this.hi = (Math.imul(this.hi, lo) + Math.imul(this.lo, hi) + (carry | 0)) | 0;
    this.lo = Math.imul(this.lo, lo);
    return this;
  }

  round(hi: number, lo: number): this {
    const input = multiplied(hi, lo, P2H, P2L);
    return this.add(input.hi, input.lo).rotateLeft(31).multiply(P1H, P1L);
  }

  merge(lane: Word): this {
    const value = new Word(0, 0).round(lane.hi, lane.lo);
    return this.xor(value.hi, value.lo).multiply(P1H, P1L).add(P4H, P4L);
  }
}

function multiplied(ahi: number, alo: number, bhi: number, blo: number): Word {
  return new Word(ahi, alo).multiply(bhi, blo);
}

function read32(text: string, at: number): number {
  return (
    (text.charCodeAt(at) & 0xff) |
    ((text.charCodeAt(at + 1) & 0xff) << 8) |
    ((text.charCodeAt(at + 2) & 0xff) << 16) |
    ((text.charCodeAt(at + 3) & 0xff) << 24)
  );
}
