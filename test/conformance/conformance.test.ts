// Holds the share of recorded behaviour that isthmus reproduces at or above its floor.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { listProblems, listedDifferences } from "./differences.ts";
import { reasonOf } from "./known-differences.ts";
import { normalise } from "./normalise.ts";
import { runLive } from "./live.ts";
import { liveProblem } from "./live/proxies.ts";
import { translateProblem, wireProblem } from "./reference.ts";
import { resourceTypes, runTranslate, translateFloor } from "./translate.ts";
import { recordedNames, runWire, wireFloor } from "./wire.ts";

suite("conformance", () => {
  test("answers recorded wire cases as Envoy does", { skip: wireProblem() ?? false }, async (t) => {
    const { agreed, total, differing, details, proxyLog } = await runWire();
    t.diagnostic(`${agreed} of ${total} cases agree`);
    assert.ok(total > 0, details);
    assert.equal(proxyLog, "", "the proxy served nothing");
    assert.ok(agreed >= wireFloor, `${agreed} of ${total} agree, the floor is ${wireFloor}; differing: ${differing.join("; ")}`);
    assert.deepEqual(listProblems(listedDifferences("wire"), differing, new Set(recordedNames())), []);
  });

  test("answers live cases as Envoy does", { skip: liveProblem ?? false }, async (t) => {
    const outcomes = await runLive("", listedDifferences("live"));
    const differing = outcomes.filter(({ envoy, isthmus }) => envoy !== isthmus);
    t.diagnostic(`${outcomes.length - differing.length} of ${outcomes.length} cases agree`);
    for (const { name, envoy, isthmus } of differing.filter(({ name }) => !listedDifferences("live").has(name)))
      t.diagnostic(`${name}\n--- envoy\n${envoy}\n--- isthmus\n${isthmus}`);
    const names = outcomes.map(({ name }) => name);
    assert.equal(new Set(names).size, names.length, "two cases have one name");
    assert.ok(names.length >= 150);
    const problems = listProblems(
      listedDifferences("live"),
      differing.map(({ name }) => name),
      new Set(names),
    );
    assert.deepEqual(problems, []);
  });

  test("the list of differences is held against what differs, both ways", () => {
    const ran = new Set(["a", "b", "c"]);
    assert.deepEqual(listProblems(new Set(["a"]), ["a"], ran), []);
    assert.equal(listProblems(new Set(), ["a"], ran).length, 1);
    assert.equal(listProblems(new Set(["a"]), [], ran).length, 1);
    assert.equal(listProblems(new Set(["d"]), [], ran).length, 1);
  });

  test("translates recorded meshes as Istio does", { skip: translateProblem() ?? false }, (t) => {
    const nodes = runTranslate();
    const agreed = (type: (typeof resourceTypes)[number]): number => nodes.reduce((sum, { types }) => sum + types[type].agreed, 0);
    const total = (type: (typeof resourceTypes)[number]): number => nodes.reduce((sum, { types }) => sum + types[type].total, 0);
    t.diagnostic(resourceTypes.map((type) => `${type} ${agreed(type)}/${total(type)}`).join(", "));
    const all = resourceTypes.reduce((sum, type) => sum + agreed(type), 0);
    assert.ok(all >= translateFloor, `${all} resources agree, the floor is ${translateFloor}`);
    const differences = nodes.flatMap(({ types }) => Object.values(types).flatMap((type) => type.differences));
    assert.deepEqual(
      differences.filter((difference) => reasonOf(difference) === undefined),
      [],
      "differences without a reason",
    );
  });

  test("the comparison sees a changed field and overlooks what only reports", () => {
    const cluster = { name: "a", type: "EDS", lb_policy: "ROUND_ROBIN" };
    const reporting = { ...cluster, alt_stat_name: "a;", circuit_breakers: { thresholds: [{ max_retries: 4_294_967_295 }] } };
    assert.deepEqual(normalise(reporting), normalise(cluster));
    assert.notDeepEqual(normalise({ ...cluster, lb_policy: "RANDOM" }), normalise(cluster));
    assert.notDeepEqual(normalise({ ...cluster, circuit_breakers: { thresholds: [{ max_retries: 3 }] } }), normalise(cluster));
  });
});
