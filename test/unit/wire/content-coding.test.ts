import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { brotliCompressSync, brotliDecompressSync, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { Compressor, type CompressorSettings, type ContentCoding, Decompressor } from "../../../src/wire/content-coding.ts";
import { seededRandom } from "../../support/cluster-models.ts";

const settings: Readonly<Record<ContentCoding, CompressorSettings>> = {
  gzip: { coding: "gzip", level: -1, memoryLevel: 5, windowBits: 12, strategy: 0 },
  br: { coding: "br", parameters: {} },
  zstd: { coding: "zstd", parameters: {} },
};
const whole = {
  gzip: [gzipSync, gunzipSync],
  br: [brotliCompressSync, brotliDecompressSync],
  zstd: [zstdCompressSync, zstdDecompressSync],
} as const;
const codings = ["gzip", "br", "zstd"] as const;

/** Pieces of random sizes, some empty; some bytes random, some repeated. */
function pieces(random: () => number): readonly Buffer[] {
  return Array.from({ length: 1 + Math.floor(random() * 8) }, () => {
    const size = Math.floor(random() ** 4 * 200_000);
    return random() < 0.5 ? Buffer.alloc(size, "repeat") : Buffer.from(Array.from({ length: size }, () => Math.floor(random() * 256)));
  });
}

for (const coding of codings) {
  const [compress, decompress] = whole[coding];
  suite(coding, () => {
    test("what is compressed in pieces reads as one body, for anybody and for this decompressor", () => {
      const random = seededRandom(7);
      for (let round = 0; round < 30; round++) {
        const compressor = new Compressor(settings[coding]);
        const body = pieces(random);
        const out = body.map((piece, i) => compressor.push(piece, i === body.length - 1));
        compressor.close();
        assert.ok(decompress(Buffer.concat(out)).equals(Buffer.concat(body)), `round ${round}`);
        const decompressor = new Decompressor({ coding, maxRatio: 1e9 });
        const back = out.map((piece) => decompressor.push(piece));
        decompressor.close();
        assert.equal(decompressor.fault, undefined);
        assert.ok(Buffer.concat(back).equals(Buffer.concat(body)), `round ${round}`);
      }
    });

    test("a piece can be read as soon as it was pushed", () => {
      const compressor = new Compressor(settings[coding]);
      const decompressor = new Decompressor({ coding, maxRatio: 1000 });
      for (const text of ["first", "second", "third"])
        assert.equal(decompressor.push(compressor.push(Buffer.from(text), false)).toString(), text);
      compressor.close();
      decompressor.close();
    });

    test("a body cut anywhere is read as far as it goes", () => {
      const body = Buffer.from("some text ".repeat(50));
      const packed = compress(body);
      const decompressor = new Decompressor({ coding, maxRatio: 1000 });
      const out = Array.from(packed, (_, at) => decompressor.push(packed.subarray(at, at + 1)));
      assert.equal(Buffer.concat(out).toString(), body.toString());
      decompressor.close();
    });

    test("a body that grows too much stops within its bound, and stays stopped", () => {
      const packed = compress(Buffer.alloc(10_000_000));
      const decompressor = new Decompressor({ coding, maxRatio: 10 });
      assert.ok(decompressor.push(packed).length <= packed.length * 10 + 4096);
      assert.equal(decompressor.fault, "bomb");
      assert.equal(decompressor.push(packed).length, 0);
      decompressor.close();
    });

    test("bytes that are none of the coding are a fault, whatever they are", () => {
      const random = seededRandom(11);
      for (let round = 0; round < 200; round++) {
        const decompressor = new Decompressor({ coding, maxRatio: 100 });
        const packed = Buffer.from(compress(Buffer.from("text to break ".repeat(20))));
        for (let n = 0; n < 8; n++) packed[Math.floor(random() * packed.length)] = Math.floor(random() * 256);
        // Damage may not be noticed before the end; that it is harmless is what counts.
        assert.ok(decompressor.push(packed).length <= packed.length * 100 + 4096);
        decompressor.close();
      }
      const decompressor = new Decompressor({ coding, maxRatio: 100 });
      decompressor.push(Buffer.from("this is no compressed body, is it? ".repeat(10)));
      assert.equal(decompressor.fault, "corrupt");
      decompressor.close();
    });

    test("closing twice, and pushing after it, harms nothing", () => {
      const decompressor = new Decompressor({ coding, maxRatio: 100 });
      decompressor.close();
      decompressor.close();
      assert.equal(decompressor.push(compress(Buffer.from("late"))).length, 0);
    });
  });
}
