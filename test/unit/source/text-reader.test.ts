import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { TextReader } from "../../../src/source/text-reader.ts";

suite("TextReader", () => {
  test("reads files of every size, small after large, several asked for at once", async (t) => {
    const dir = await mkdtemp(join(tmpdir(), "isthmus-text-"));
    t.after(() => rm(dir, { recursive: true, force: true }));
    const texts = [0, 1, 65_535, 65_536, 65_537, 1_000_003, 7].map((length) =>
      "é0123456789".repeat(Math.ceil(length / 11)).slice(0, length),
    );
    await Promise.all(texts.map((text, index) => writeFile(join(dir, String(index)), text)));
    const reader = new TextReader(2_000_000);
    const read = await Promise.all(texts.map((_, index) => reader.read(join(dir, String(index)))));
    assert.ok(read.every((text, index) => text === texts[index]));
  });

  test("goes on after a file without an end, and one that is not there", async () => {
    const reader = new TextReader(100_000);
    await assert.rejects(reader.read("/dev/zero"), /is larger than 100000 bytes/);
    await assert.rejects(reader.read("/nowhere/at/all"), { code: "ENOENT" });
    assert.match(await reader.read(import.meta.filename), /goes on after a file/);
  });
});
