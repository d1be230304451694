// Server names of the form outbound_.PORT_.SUBSET_.HOST: which are, which only look alike, and random damage.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { parseSniName } from "../../../src/wire/sni-name.ts";
import { seededRandom } from "../../support/cluster-models.ts";

const host = "httpbin.default.svc.cluster.local";

suite("SNI name", () => {
  for (const [name, expected] of [
    [`outbound_.8000_._.${host}`, { port: 8000, subset: "", host }],
    [`outbound_.80_.v1_.${host}`, { port: 80, subset: "v1", host }],
    ["outbound_.65535_.a.b_c_._x.example", { port: 65_535, subset: "a.b_c", host: "_x.example" }],
    ["outbound_.1_._.localhost", { port: 1, subset: "", host: "localhost" }],
  ] as const) {
    test(`takes ${name} apart`, () => assert.deepEqual(parseSniName(name), expected));
  }

  for (const name of [
    "",
    host,
    `outbound|80||${host}`,
    `inbound_.80_._.${host}`,
    `outbound_.80_.${host}`,
    `outbound_.80_._.`,
    `outbound_.80_._.${host}.`,
    `outbound_.80_._.a_.b.example`,
    `outbound_._._.${host}`,
    `outbound_.0_._.${host}`,
    `outbound_.080_._.${host}`,
    `outbound_.65536_._.${host}`,
    `outbound_.http_._.${host}`,
    `outbound_.80_._..example`,
    `outbound_.80_._.a b`,
    `Outbound_.80_._.${host}`,
    ` outbound_.80_._.${host}`,
  ]) {
    test(`refuses ${JSON.stringify(name)}`, () => assert.equal(parseSniName(name), undefined));
  }

  test("whatever parts come out of a damaged name, they make that name again", () => {
    const random = seededRandom(15_443);
    const alphabet = "outbound_._.80_.v1_.a.b|\0A";
    let parsed = 0;
    for (let round = 0; round < 20_000; round++) {
      const characters = "outbound_.80_.v_.a.b".split("");
      for (let edit = 0; edit < 1 + (round % 3); edit++) {
        const at = Math.floor(random() * characters.length);
        characters.splice(at, Math.floor(random() * 2), alphabet[Math.floor(random() * alphabet.length)] ?? "");
      }
      const name = characters.join("");
      const parts = parseSniName(name);
      if (parts === undefined) continue;
      parsed++;
      assert.equal(`outbound_.${parts.port}_.${parts.subset}_.${parts.host}`, name);
    }
    assert.ok(parsed > 1000, `${parsed} names survived`);
  });
});
