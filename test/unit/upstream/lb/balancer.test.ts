// What a balancer tells of panic: each pick from hosts whose health is ignored, whether or not anybody may serve.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { createBalancer, type HostHealth } from "../../../../src/upstream/lb/balancer.ts";

const locality = { region: "", zone: "", subZone: "" };
const hosts = (...healths: readonly HostHealth[]) =>
  healths.map((health, i) => ({ addressText: `h${i}`, weight: 1, activeRequests: 0, health, priority: 0, locality, localityWeight: 0 }));
const request = { hash: undefined, avoid: undefined, avoidAttempts: 0 };

suite("panic", () => {
  for (const [title, healths, failInPanic, panics, served] of [
    ["healthy hosts", ["healthy", "healthy"], false, 0, true],
    ["half of them", ["healthy", "unhealthy"], false, 0, true],
    ["no healthy host", ["unhealthy", "unhealthy"], false, 2, true],
    ["no healthy host, and panic fails", ["unhealthy", "unhealthy"], true, 2, false],
  ] as const) {
    test(`two picks from ${title}: ${panics} in panic`, () => {
      let told = 0;
      const options = {
        policy: { kind: "ROUND_ROBIN" },
        localityWeighted: false,
        overprovisioningFactor: 140,
        panicThreshold: 50,
        failInPanic,
        panics: () => ({ inc: () => void told++, add: () => assert.fail() }),
      } as const;
      const balancer = createBalancer(hosts(...healths), options, () => 0);
      for (let pick = 0; pick < 2; pick++) assert.equal(balancer.pick(request) !== undefined, served);
      assert.equal(told, panics);
    });
  }
});
