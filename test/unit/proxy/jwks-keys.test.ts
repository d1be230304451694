import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { JwksKeys } from "../../../src/proxy/jwks-keys.ts";
import { type ManualClock, manualClock } from "../../support/manual-clock.ts";

const keySet = (kid: string): string => JSON.stringify({ keys: [{ kty: "oct", k: "c2VjcmV0", kid }] });

interface Lab {
  readonly keys: JwksKeys;
  readonly clock: ManualClock;
  readonly answers: Map<string, string>;
  readonly asked: string[];
  readonly changes: { count: number };
}

function lab(): Lab {
  const clock = manualClock();
  const answers = new Map<string, string>();
  const asked: string[] = [];
  const changes = { count: 0 };
  const fetch = (url: string): Promise<Buffer> => {
    asked.push(url);
    const answer = answers.get(url);
    return answer === undefined ? Promise.reject(new Error("status 404")) : Promise.resolve(Buffer.from(answer));
  };
  return { keys: new JwksKeys({ clock, fetch, onChange: () => void changes.count++ }), clock, answers, asked, changes };
}

const source = { key: "k", issuer: "https://issuer.test/", uri: "https://issuer.test/jwks", timeoutMs: 100 };
/** Lets what was started by a timer come to its end. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const minute = 60_000;

suite("key sets of RequestAuthentications", () => {
  test("are fetched once and given again, and a new set is said", async () => {
    const { keys, clock, answers, asked, changes } = lab();
    answers.set(source.uri, keySet("a"));
    const first = await keys.resolve([source]);
    assert.equal(first.keys.get("k"), keySet("a"));
    assert.equal((await keys.resolve([source])).keys, first.keys);
    assert.equal(asked.length, 1);
    clock.advance(20 * minute);
    await settled();
    assert.equal(changes.count, 0);
    answers.set(source.uri, keySet("b"));
    clock.advance(20 * minute);
    await settled();
    assert.equal(changes.count, 1);
    assert.equal((await keys.resolve([source])).keys.get("k"), keySet("b"));
  });

  test("without a URI are where the issuer's OpenID configuration says", async () => {
    const { keys, answers, asked } = lab();
    answers.set("https://issuer.test/.well-known/openid-configuration", JSON.stringify({ jwks_uri: "https://keys.test/" }));
    answers.set("https://keys.test/", keySet("a"));
    assert.equal((await keys.resolve([{ ...source, uri: "" }])).keys.get("k"), keySet("a"));
    assert.equal(asked.length, 2);
  });

  test("that fail leave the older set in use, and are asked for less and less often", async () => {
    const { keys, clock, answers, asked } = lab();
    answers.set(source.uri, keySet("a"));
    await keys.resolve([source]);
    answers.delete(source.uri);
    const times: number[] = [];
    for (let i = 0; i < 200; i++) {
      const before = asked.length;
      clock.advance(minute);
      await settled();
      if (asked.length > before) times.push(i + 1);
    }
    assert.deepEqual(times, [20, 21, 23, 27, 35, 51, 83, 143]);
    const { keys: known, failures } = await keys.resolve([source]);
    assert.equal(known.get("k"), keySet("a"));
    assert.equal(failures.get("k"), "status 404");
  });

  test("that are none are refused, and those nobody asks for any more are let go", async () => {
    const { keys, clock, answers, asked } = lab();
    for (const answer of ["<html>", "[]", "null", '{"keys": 1}']) {
      answers.set(source.uri, answer);
      const { keys: known, failures } = await keys.resolve([source]);
      assert.equal(known.size, 0);
      assert.match(failures.get("k") ?? "", /is no key set/);
      await keys.resolve([]);
    }
    const before = asked.length;
    clock.advance(100 * minute);
    await settled();
    assert.equal(asked.length, before);
    keys.close();
  });
});
