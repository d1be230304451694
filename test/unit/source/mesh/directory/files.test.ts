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
      if ("documents" in parsed) return parsed.documents.map(({ json }) => json);
      return "problem" in parsed ? parsed.problem : parsed;
    };
    assert.deepEqual(await load(), [{ a: 1 }]);
    file = fake("a: 2", 2_000);
    assert.deepEqual(await load(), [{ a: 2 }]);
    file = undefined;
    assert.equal(await load(), "cannot be read: gone");
    file = fake("a: 3", 3_000);
    assert.deepEqual(await load(), [{ a: 3 }]);
  });

  // What the file system shows: a time after the first look, text and time of writing.
  const steps: readonly [
    title: string,
    states: readonly (readonly [fromMs: number, text: string, writtenMs: number])[],
    json: unknown[],
    tookMs: number,
  ][] = [
    ["old", [[0, "a: 1", 0]], [{ a: 1 }], 0],
    ["just written", [[0, "a: 1", 1_000]], [{ a: 1 }], 20],
    [
      "written in two goes",
      [
        [0, "a: 1", 1_000],
        [15, "a: 1\nb: 2", 1_015],
      ],
      [{ a: 1, b: 2 }],
      40,
    ],
    ["empty from the start", [[0, "", 1_000]], [], 20],
    ["of a machine whose clock is ahead", [[0, "a: 1", 9_000]], [{ a: 1 }], 0],
  ];
  for (const [title, states, json, tookMs] of steps) {
    test(`a file ${title} is read when it is whole`, async () => {
      let nowMs = 1_000;
      const current = (): FakeFile => {
        const [, text, writtenMs] = states.findLast(([fromMs]) => nowMs - 1_000 >= fromMs)!;
        return fake(text, writtenMs);
      };
      const files = new MeshFiles({
        wallMs: () => nowMs,
        stat: () => Promise.resolve(current().stamp),
        readFile: () => Promise.resolve(current().text),
        wait: (ms) => Promise.resolve(void (nowMs += ms)),
      });
      files.begin();
      const parsed = await files.read("f.yaml");
      assert.ok("documents" in parsed);
      assert.deepEqual(
        parsed.documents.map((document) => document.json),
        json,
      );
      assert.equal(nowMs - 1_000, tookMs);
    });
  }

  test("a file that had something to say is unfinished while it is freshly empty, and believed later", async () => {
    let nowMs = 1_000;
    let file = fake("a: 1", 0);
    const files = new MeshFiles({
      wallMs: () => nowMs,
      stat: () => Promise.resolve(file.stamp),
      readFile: () => Promise.resolve(file.text),
      wait: (ms) => Promise.resolve(void (nowMs += ms)),
    });
    const load = async (): Promise<unknown> => {
      files.begin();
      const read = await files.read("f.yaml");
      if ("unfinished" in read) return "unfinished";
      return "documents" in read ? read.documents.map(({ json }) => json) : read;
    };
    assert.deepEqual(await load(), [{ a: 1 }]);
    // Its size may be seen to change before its time does.
    file = fake("", 0);
    assert.equal(await load(), "unfinished");
    nowMs += 799;
    assert.equal(await load(), "unfinished");
    file = fake("a: 2", 1_799);
    assert.deepEqual(await load(), [{ a: 2 }]);
    file = fake("", nowMs);
    assert.equal(await load(), "unfinished");
    nowMs += 800;
    assert.deepEqual(await load(), []);
  });

  test("a file that never stops changing is taken as it is after a fifth of a second", async () => {
    let nowMs = 1_000;
    const files = new MeshFiles({
      wallMs: () => nowMs,
      stat: () => Promise.resolve(fake(`a: ${nowMs}`, nowMs).stamp),
      readFile: () => Promise.resolve(`a: ${nowMs}`),
      wait: (ms) => Promise.resolve(void (nowMs += ms)),
    });
    files.begin();
    assert.ok("documents" in (await files.read("f.yaml")));
    assert.equal(nowMs, 1_190);
  });
});
