import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { type Clock, systemClock } from "../../../src/clock.ts";
import { watchFiles, type WatchOptions } from "../../../src/source/watch.ts";

// Time by hand, and files whose fingerprint is a variable.
class Bench {
  content = "1";
  changes = 0;
  closed = 0;
  watched: string[] = [];
  folders: string[] = [];
  events: ((written?: string) => void)[] = [];
  #now = 0;
  #timers: { at: number; fire: () => void }[] = [];

  readonly clock: Clock = {
    nowMs: () => this.#now,
    wallMs: () => this.#now,
    after: (delayMs, fire) => {
      const timer = { at: this.#now + delayMs, fire };
      this.#timers.push(timer);
      return { cancel: () => void (this.#timers = this.#timers.filter((other) => other !== timer)) };
    },
  };

  get options(): WatchOptions {
    return {
      clock: this.clock,
      subscribe: (folder, onEvent) => {
        this.watched.push(folder);
        this.events.push(onEvent);
        return { close: () => void this.closed++ };
      },
      fingerprint: () => Promise.resolve({ text: this.content, folders: this.folders }),
    };
  }

  readonly onChange = (): void => void this.changes++;

  async event(written?: string, folder?: string): Promise<void> {
    for (const [index, event] of this.events.entries()) if (folder === undefined || this.watched[index] === folder) event(written);
    await settle();
  }

  /** Time passes within a call. */
  skip(ms: number): void {
    this.#now += ms;
  }

  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      const due = this.#timers.filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#now = due.at;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      due.fire();
      await settle();
    }
    this.#now = end;
  }
}

const settle = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

suite("watchFiles", () => {
  test("reports a burst of changes once, after it has been quiet", async () => {
    const bench = new Bench();
    watchFiles(["/d/f"], bench.onChange, bench.options);
    await settle();
    for (const content of ["2", "3", "4"]) {
      bench.content = content;
      await bench.event();
      await bench.advance(60);
    }
    assert.equal(bench.changes, 0);
    await bench.advance(100);
    assert.equal(bench.changes, 1);
  });

  test("notices changes without any event", async () => {
    const bench = new Bench();
    watchFiles(["/d/f"], bench.onChange, { ...bench.options, subscribe: () => undefined });
    await settle();
    bench.content = "2";
    await bench.advance(700);
    assert.equal(bench.changes, 1);
  });

  test("polls a folder less often that takes long to look through, and still sees events at once", async () => {
    const bench = new Bench();
    let looks = 0;
    const fingerprint: WatchOptions["fingerprint"] = () => {
      looks++;
      bench.skip(300);
      return Promise.resolve({ text: bench.content, folders: [] });
    };
    watchFiles(["/d"], bench.onChange, { ...bench.options, fingerprint });
    await settle();
    await bench.advance(12_000);
    assert.ok(looks >= 3 && looks <= 6, `${looks} looks in 12 s`);
    bench.content = "2";
    await bench.event();
    await bench.advance(400);
    assert.equal(bench.changes, 1);
  });

  test("says nothing when events bring no change", async () => {
    const bench = new Bench();
    watchFiles(["/d/f"], bench.onChange, bench.options);
    await settle();
    await bench.event();
    await bench.advance(2000);
    assert.equal(bench.changes, 0);
  });

  test("does not look when another file beside a watched one is written", async () => {
    for (const [watched, folder, written, expected] of [
      ["/d/f", "/d", "access.log", 0],
      ["/d/f", "/d", "f", 1],
      ["./f", ".", "f", 1],
      ["/d/f", "/d", undefined, 1],
      ["/d", "/d", "any", 1],
    ] as const) {
      const bench = new Bench();
      let looks = 0;
      const fingerprint: WatchOptions["fingerprint"] = () => {
        looks++;
        return Promise.resolve({ text: bench.content, folders: [] });
      };
      const watch = watchFiles([watched], bench.onChange, { ...bench.options, fingerprint });
      await settle();
      const before = looks;
      await bench.event(written, folder);
      assert.equal(Math.min(1, looks - before), expected, `${watched} ${written ?? "unknown"}`);
      watch.close();
    }
  });

  test("watches the folders of files, so that a replaced file is still seen", () => {
    const bench = new Bench();
    watchFiles(["/d/f", "/d/g"], bench.onChange, bench.options);
    assert.deepEqual(bench.watched.toSorted(), ["/d", "/d/f", "/d/g"]);
  });

  test("listens to every folder below, new ones included, and to none that is gone", async () => {
    const bench = new Bench();
    bench.folders = ["/d/m", "/d/m/a"];
    watchFiles(["/d/m"], bench.onChange, bench.options);
    await settle();
    assert.deepEqual(bench.watched.toSorted(), ["/d", "/d/m", "/d/m/a"]);
    bench.folders = ["/d/m", "/d/m/b"];
    bench.content = "2";
    await bench.event();
    assert.deepEqual([bench.watched.at(-1), bench.closed], ["/d/m/b", 1]);
  });

  test("is ready once the state at the start is known, and reports whatever comes after", async () => {
    const bench = new Bench();
    const watch = watchFiles(["/d/f"], bench.onChange, bench.options);
    await watch.ready;
    bench.content = "2";
    await bench.event();
    await bench.advance(100);
    assert.equal(bench.changes, 1);
  });

  test("reports files that are written all the time", async () => {
    const bench = new Bench();
    watchFiles(["/d/f"], bench.onChange, bench.options);
    await settle();
    for (let i = 0; i < 20; i++) {
      bench.content = `change ${i}`;
      await bench.event();
      await bench.advance(50);
    }
    // Every 300 ms, though it never was quiet for 100.
    assert.equal(bench.changes, 3);
  });

  test("takes other files without reporting them", async () => {
    const bench = new Bench();
    const watch = watchFiles(["/d/f"], bench.onChange, bench.options);
    await settle();
    bench.content = "other";
    watch.replace(["/d/g"]);
    await settle();
    await bench.advance(1000);
    assert.equal(bench.changes, 0);
    assert.equal(bench.closed, 2);
    bench.content = "changed";
    await bench.advance(1000);
    assert.equal(bench.changes, 1);
  });

  test("is silent once closed", async () => {
    const bench = new Bench();
    const watch = watchFiles(["/d/f"], bench.onChange, bench.options);
    await settle();
    bench.content = "2";
    await bench.event();
    watch.close();
    await bench.advance(2000);
    assert.equal(bench.changes, 0);
  });

  test("sees a real file being replaced by a rename", { timeout: 20_000 }, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "isthmus-watch-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, "f.yaml");
    writeFileSync(file, "a: 1\n");
    await new Promise<void>((resolve) => {
      let known = false;
      // The clock's timers do not keep a process alive; this one does, until the change is seen.
      const alive = setInterval(() => {
        if (!known) return;
        writeFileSync(`${file}.new`, "a: 22\n");
        renameSync(`${file}.new`, file);
      }, 300);
      const watch = watchFiles(
        [file],
        () => {
          clearInterval(alive);
          watch.close();
          resolve();
        },
        { clock: systemClock, debounceMs: 10, pollMs: 50 },
      );
      known = true;
    });
  });
});
