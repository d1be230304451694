// No request reaches an upstream that Envoy would not have let through. Where Envoy is present it is asked in the same run;
// elsewhere what it did when smuggling/envoy.json was recorded is the measure. RECORD_ENVOY=1 records again.
import assert from "node:assert/strict";
import fs from "node:fs";
import { suite, test } from "node:test";
import { liveProblem, startEnvoy, startIsthmus } from "./live/proxies.ts";
import { smugglingCases } from "./smuggling/cases.ts";
import { type Forwarded, letThrough, runSmuggling } from "./smuggling/run.ts";

const recording = new URL("smuggling/envoy.json", import.meta.url);
const recorded = (): Forwarded => JSON.parse(fs.readFileSync(recording, "utf8")) as Forwarded;

suite("request smuggling", () => {
  test("isthmus forwards nothing that Envoy refuses", async (t) => {
    const record = liveProblem === undefined && process.env["RECORD_ENVOY"] === "1";
    const before = record ? {} : recorded();
    const [ours, theirs] = await Promise.all([
      runSmuggling(startIsthmus, before),
      liveProblem === undefined ? runSmuggling(startEnvoy, before) : before,
    ]);
    if (record) fs.writeFileSync(recording, `${JSON.stringify(theirs, undefined, 1)}\n`);
    t.diagnostic(`${smugglingCases.length} cases against ${liveProblem === undefined ? "Envoy" : "what Envoy was recorded to do"}`);
    const count = (forwarded: Forwarded): number => Object.values(forwarded).reduce((sum, requests) => sum + requests.length, 0);
    t.diagnostic(`${count(ours)} requests forwarded by isthmus, ${count(theirs)} by Envoy`);
    assert.deepEqual(letThrough(ours, theirs), []);
    // Both could refuse everything.
    assert.deepEqual(ours["llhttp: trailers"], theirs["llhttp: trailers"]);
    assert.equal(ours["llhttp: trailers"]?.length, 2);
  });

  test("the recording has every case", () => {
    assert.deepEqual(Object.keys(recorded()).sort(), smugglingCases.map(({ name }) => name).sort());
  });

  test("a request too many is noticed, and one read in another way", () => {
    assert.equal(letThrough({ a: ["x", "y"] }, { a: ["x"] }).length, 1);
    assert.equal(letThrough({ a: ["x"] }, { a: ["z"] }).length, 1);
    assert.deepEqual(letThrough({ a: [] }, { a: ["x"] }), []);
  });
});
