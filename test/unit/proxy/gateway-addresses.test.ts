// Host names of network gateways: kept for their TTL, looked up again, last good addresses kept, and a change said once.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { GatewayAddresses } from "../../../src/proxy/gateway-addresses.ts";
import type { ResolvedAddress } from "../../../src/upstream/discovery/host-lookup.ts";
import { manualClock } from "../../support/manual-clock.ts";

type Answer = readonly string[] | Error | "silence";

function bench(answers: Record<string, Answer>, ttlSeconds = 60) {
  const clock = manualClock();
  const asked: string[] = [];
  let changes = 0;
  const gateways = new GatewayAddresses({
    clock,
    onChange: () => void changes++,
    lookup: (name): Promise<readonly ResolvedAddress[]> => {
      asked.push(name);
      const answer = answers[name] ?? new Error("ENOTFOUND");
      if (answer === "silence") return new Promise(() => undefined);
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer.map((address) => ({ address, ttlSeconds })));
    },
  });
  // Answers settle in microtasks; a turn of the event loop lets all of them by.
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await settle();
  };
  return { gateways, clock, asked, pass, settle, answers, changes: () => changes };
}

const names = (...all: string[]): ReadonlySet<string> => new Set(all);

suite("gateway addresses", () => {
  test("are sorted, without repeats, and asked for once within their TTL", async () => {
    const { gateways, asked, pass } = bench({ a: ["2.2.2.2", "1.1.1.1", "2.2.2.2"] });
    const first = await gateways.resolve(names("a"));
    assert.deepEqual(first.addresses.get("a"), ["1.1.1.1", "2.2.2.2"]);
    await pass(59_000);
    await gateways.resolve(names("a"));
    assert.deepEqual(asked, ["a"]);
    await pass(2_000);
    assert.deepEqual(asked, ["a", "a"]);
  });

  for (const [ttl, waitMs] of [
    [1, 30_000],
    [60, 60_000],
    [1_000_000, 3_600_000],
  ] as const) {
    test(`a TTL of ${ttl} s is looked up again after ${waitMs / 1000} s`, async () => {
      const { gateways, asked, pass } = bench({ a: ["1.1.1.1"] }, ttl);
      await gateways.resolve(names("a"));
      await pass(waitMs - 1);
      assert.equal(asked.length, 1);
      await pass(1);
      assert.equal(asked.length, 2);
    });
  }

  test("a change is said, the same addresses in another order are none", async () => {
    const { gateways, answers, pass, changes } = bench({ a: ["1.1.1.1", "2.2.2.2"] });
    await gateways.resolve(names("a"));
    answers["a"] = ["2.2.2.2", "1.1.1.1"];
    await pass(60_000);
    assert.equal(changes(), 0);
    answers["a"] = ["3.3.3.3"];
    await pass(60_000);
    assert.equal(changes(), 1);
    assert.deepEqual((await gateways.resolve(names("a"))).addresses.get("a"), ["3.3.3.3"]);
  });

  test("a failure keeps the last good addresses, says why, and is tried again after the shortest time", async () => {
    const { gateways, answers, asked, pass, changes } = bench({ a: ["1.1.1.1"] });
    await gateways.resolve(names("a"));
    answers["a"] = new Error("ESERVFAIL");
    await pass(60_000);
    const failed = await gateways.resolve(names("a"));
    assert.deepEqual([failed.addresses.get("a"), failed.failures.get("a"), changes()], [["1.1.1.1"], "ESERVFAIL", 0]);
    answers["a"] = ["1.1.1.1"];
    await pass(30_000);
    assert.equal(asked.length, 3);
    assert.deepEqual([...(await gateways.resolve(names("a"))).failures], []);
  });

  test("a name that never resolved is left out; its first address is a change", async () => {
    const { gateways, answers, pass, changes } = bench({});
    const first = await gateways.resolve(names("a"));
    assert.deepEqual([[...first.addresses], first.failures.get("a")], [[], "ENOTFOUND"]);
    answers["a"] = ["1.1.1.1"];
    await pass(30_000);
    assert.equal(changes(), 1);
  });

  test("a silent resolver holds nobody longer than five seconds", async () => {
    const { gateways, pass, settle } = bench({ a: "silence", b: ["1.1.1.1"] });
    const asked = gateways.resolve(names("a", "b"));
    await settle();
    await pass(5_000);
    const { addresses, failures } = await asked;
    assert.deepEqual([[...addresses.keys()], failures.get("a")], [["b"], "no answer within 5 s"]);
  });

  test("names no longer wanted are forgotten, and nothing is pending after close", async () => {
    const { gateways, clock, asked, pass } = bench({ a: ["1.1.1.1"], b: ["2.2.2.2"] });
    await gateways.resolve(names("a", "b"));
    await gateways.resolve(names("b"));
    assert.equal(clock.pending(), 1);
    await pass(60_000);
    assert.deepEqual(asked, ["a", "b", "b"]);
    gateways.close();
    assert.equal(clock.pending(), 0);
  });

  test("an answer that comes after close starts no timer", async () => {
    const { gateways, clock, settle } = bench({ a: ["1.1.1.1"] });
    const asked = gateways.resolve(names("a"));
    gateways.close();
    await asked;
    await settle();
    assert.equal(clock.pending(), 0);
  });
});
