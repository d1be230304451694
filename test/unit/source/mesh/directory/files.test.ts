import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { type FileStamp, MeshFiles } from "../../../../../src/source/mesh/directory/files.ts";

const msToNs = 1_000_000n;

interface FakeFile {
  readonly text: string;
  readonly stamp: FileStamp;
}

function fake(text: string, writtenMs: number): FakeFile {
  return { text, stamp: { size: BigInt(text.length), mtimeNs: BigInt(writtenMs) * msToNs, ctimeNs: BigInt(writtenMs) * msToNs, ino: 7n } };
}

suite("files of a mesh directory", () => {
  for (const [title, ageMs, reads] of [
    ["is not read again when its stamp is the same and it had settled", 5_000, 1],
    ["is read again when it was written in the tick in which it was read", 3, 2],
  ] as const) {
    test(`a file ${title}`, async () => {
      const file = fake("a: 1", 1_000_000);
      let read = 0;
      const files = new MeshFiles({
        wallMs: () => 1_000_000 + ageMs,
        stat: () => Promise.resolve(file.stamp),
        readFile: () => Promise.resolve((read++, file.text)),
      });
      for (let load = 0; load < 2; load++) {
        files.begin();
        const parsed = await files.read("f.yaml");
        assert.ok("documents" in parsed);
        assert.deepEqual(
          parsed.documents.map(({ json }) => json),
          [{ a: 1 }],
        );
      }
      assert.equal(read, reads);
    });
  }

  test("a file with another stamp is read again, one that cannot be read is a problem for as long as it lasts", async () => {
    let file: FakeFile | undefined = fake("a: 1", 1_000);
    const files = new MeshFiles({
      wallMs: () => 100_000,
      stat: () => (file ? Promise.resolve(file.stamp) : Promise.reject(new Error("gone"))),
      readFile: () => Promise.resolve(file?.text ?? ""),
    });
    const load = async (): Promise<unknown> => {
      files.begin();
      const parsed = await files.read("f.yaml");
      return "problem" in parsed ? parsed.problem : parsed.documents.map(({ json }) => json);
    };
    assert.deepEqual(await load(), [{ a: 1 }]);
    file = fake("a: 2", 2_000);
    assert.deepEqual(await load(), [{ a: 2 }]);
    file = undefined;
    assert.equal(await load(), "cannot be read: gone");
    file = fake("a: 3", 3_000);
    assert.deepEqual(await load(), [{ a: 3 }]);
  });
});
