// Hedging on per-try timeouts over real sockets: which attempt's answer the client gets, what is logged and what is counted.
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { askHedged, hedgeCases, hedgeLab } from "../../support/hedging.ts";
import { startTestProxy, type TestProxy } from "../../support/proxy.ts";

suite("hedging on per-try timeouts", () => {
  const ends: (() => Promise<void> | void)[] = [];
  let proxy: TestProxy;
  let answers: readonly string[] = [];
  let records: readonly Record<string, unknown>[] = [];
  let attempts: (path: string) => readonly string[];
  before(async () => {
    const t = { after: (end: () => Promise<void> | void) => void ends.unshift(end) };
    const lab = await hedgeLab(t);
    proxy = await startTestProxy(t, lab.bootstrap);
    attempts = lab.attempts;
    answers = await askHedged(t, proxy.port("in"));
    records = await proxy.accessLog(hedgeCases.length);
  });
  after(async () => {
    for (const end of ends) await end();
  });
  for (const [i, each] of hedgeCases.entries()) {
    test(each.title, () => {
      assert.equal(answers[i], each.answer);
      assert.equal(attempts(each.path).length, each.attempts);
      if (each.body !== undefined) assert.deepEqual(new Set(attempts(each.path)), new Set([each.body]));
      const { flags, details } = records.find((record) => record["path"] === each.path)!;
      assert.deepEqual([flags ?? "-", details], [each.flags ?? "-", each.details ?? "via_upstream"]);
      for (const [name, value] of Object.entries(each.stats ?? {}))
        assert.equal(proxy.stat(`cluster.${each.path.slice(1)}.${name}`), value, name);
    });
  }
  test("nothing is under way in the end", () => {
    for (const { path } of hedgeCases) assert.equal(proxy.stat(`cluster.${path.slice(1)}.upstream_rq_active`), 0, path);
  });
});
