// The Huffman code of HPACK (RFC 7541 appendix B) and its decoder. The code is canonical, so the lengths alone say it all.

// One character a symbol, 0 to 255 and the end mark: its code's length in base 36.
const lengths =
  "dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6cad67777777777777777777777878djde6f56565666577666567655677777fbeds" +
  "kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmnqqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrqu";

const endMark = 256;

// The decoder walks a tree four bits at a time. A step is packed into one number: the next node in the low 9 bits, then the
// symbol that was completed + 1 (0: none) in 9 bits, then whether it went over the end mark.
const symbolShift = 9;
const nodeMask = 0x1ff;
const failed = 1 << 18;

interface Machine {
  /** 16 steps a node. */
  readonly steps: Int32Array;
  /** Nodes at which a string may end: what was read of the next symbol is padding, up to seven ones. */
  readonly ends: Uint8Array;
}

let machine: Machine | undefined;

function build(): Machine {
  const left: number[] = [-1];
  const right: number[] = [-1];
  const symbol: number[] = [-1];
  const order = [...Array(257).keys()].toSorted((a, b) => lengthOf(a) - lengthOf(b) || a - b);
  let code = 0;
  let length = lengthOf(order[0]!);
  for (const value of order) {
    code *= 2 ** (lengthOf(value) - length);
    length = lengthOf(value);
    let node = 0;
    for (let bit = length - 1; bit >= 0; bit--) {
      const side = Math.floor(code / 2 ** bit) % 2 === 1 ? right : left;
      if (side[node] === -1) {
        side[node] = symbol.length;
        left.push(-1);
        right.push(-1);
        symbol.push(-1);
      }
      node = side[node]!;
    }
    symbol[node] = value;
    code++;
  }
  return pack(left, right, symbol);
}

function lengthOf(value: number): number {
  return Number.parseInt(lengths[value]!, 36);
}

function pack(left: readonly number[], right: readonly number[], symbol: readonly number[]): Machine {
  const inner = symbol.map((_, node) => node).filter((node) => symbol[node] === -1);
  const numbered = new Map(inner.map((node, index) => [node, index]));
  const steps = new Int32Array(inner.length * 16);
  inner.forEach((start, index) => {
    for (let bits = 0; bits < 16; bits++) {
      let node = start;
      let step = 0;
      for (let bit = 3; bit >= 0; bit--) {
        node = ((bits >> bit) & 1 ? right : left)[node]!;
        const value = symbol[node]!;
        if (value === -1) continue;
        if (value === endMark) step |= failed;
        else step |= (value + 1) << symbolShift;
        node = 0;
      }
      steps[index * 16 + bits] = step | numbered.get(node)!;
    }
  });
  const ends = new Uint8Array(inner.length);
  for (let node = 0, ones = 0; ones < 8; ones++, node = right[node]!) ends[numbered.get(node)!] = 1;
  return { steps, ends };
}

let scratch = Buffer.allocUnsafe(4096);

/** The string coded in `buffer[start..end)` as latin1, or undefined when it is no valid code. */
export function decodeHuffman(buffer: Uint8Array, start: number, end: number): string | undefined {
  const { steps, ends } = (machine ??= build());
  // No code is shorter than five bits.
  const most = Math.ceil(((end - start) * 8) / 5);
  if (most > scratch.length) scratch = Buffer.allocUnsafe(most * 2);
  const out = scratch;
  let length = 0;
  let node = 0;
  for (let i = start; i < end; i++) {
    const byte = buffer[i]!;
    let step = steps[node * 16 + (byte >> 4)]!;
    let symbol = (step >> symbolShift) & nodeMask;
    if (symbol !== 0) out[length++] = symbol - 1;
    const first = step;
    step = steps[(step & nodeMask) * 16 + (byte & 15)]!;
    symbol = (step >> symbolShift) & nodeMask;
    if (symbol !== 0) out[length++] = symbol - 1;
    if (((first | step) & failed) !== 0) return undefined;
    node = step & nodeMask;
  }
  return ends[node] === 1 ? out.toString("latin1", 0, length) : undefined;
}
