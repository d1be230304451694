// Hedging beside the real Envoy, where a machine has it: the same scripts of attempts, and the same answers, records and counters.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { envoyProgram, startEnvoy } from "../support/envoy-program.ts";
import { askHedged, hedgeCases, hedgeLab } from "../support/hedging.ts";

suite("hedged requests end as Envoy's do", { skip: "missing" in envoyProgram ? envoyProgram.missing : false }, () => {
  test("every script", async (t) => {
    const lab = await hedgeLab(t);
    const envoy = await startEnvoy(t, lab.bootstrap);
    assert.deepEqual(
      await askHedged(t, envoy.port("in")),
      hedgeCases.map(({ answer }) => answer),
    );
    const records = await envoy.accessLog(hedgeCases.length);
    const stats = new Map([...(await envoy.stats()).matchAll(/^(cluster\.\S+): (\d+)$/gm)].map(([, name, value]) => [name, Number(value)]));
    for (const { path, title, attempts, flags, details, stats: expected } of hedgeCases) {
      const record = records.find((each) => each["path"] === path)!;
      assert.deepEqual([record["flags"] ?? "-", record["details"]], [flags ?? "-", details ?? "via_upstream"], title);
      assert.equal(lab.attempts(path).length, attempts, title);
      for (const [name, value] of Object.entries(expected ?? {}))
        assert.equal(stats.get(`cluster.${path.slice(1)}.${name}`) ?? 0, value, `${title}: ${name}`);
    }
  });
});
