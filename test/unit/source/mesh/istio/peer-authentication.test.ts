// What a PeerAuthentication may say, and how a mistake in one is reported.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { readPeerAuthentication } from "../../../../../src/source/mesh/istio/peer-authentication.ts";
import type { PeerAuthenticationSpec } from "../../../../../src/source/mesh/istio/peer-authentication.ts";
import { Fields, IssueSink } from "../../../../../src/source/mesh/object/fields.ts";
import { seededRandom } from "../../../../support/cluster-models.ts";

function read(root: Readonly<Record<string, unknown>>): { readonly spec: PeerAuthenticationSpec; readonly problems: readonly string[] } {
  const sink = new IssueSink();
  const spec = readPeerAuthentication(new Fields(root, [], sink));
  return { spec, problems: sink.issues.map(({ severity, path, message }) => `${severity} ${path.slice(1).join(".")}: ${message}`) };
}

suite("PeerAuthentication", () => {
  const good: readonly (readonly [string, Readonly<Record<string, unknown>>, PeerAuthenticationSpec])[] = [
    ["no spec says nothing", {}, { selector: {}, mode: undefined, ports: new Map() }],
    ["an empty mtls says nothing", { spec: { mtls: {} } }, { selector: {}, mode: undefined, ports: new Map() }],
    ["UNSET says nothing", { spec: { mtls: { mode: "UNSET" } } }, { selector: {}, mode: undefined, ports: new Map() }],
    [
      "a workload with a mode for each port",
      { spec: { selector: { matchLabels: { app: "a" } }, mtls: { mode: "STRICT" }, portLevelMtls: { 80: { mode: "DISABLE" }, 81: {} } } },
      {
        selector: { app: "a" },
        mode: "STRICT",
        ports: new Map([
          [80, "DISABLE"],
          [81, undefined],
        ]),
      },
    ],
  ];
  for (const [title, root, expected] of good) {
    test(title, () => {
      assert.deepEqual(read(root), { spec: expected, problems: [] });
    });
  }

  const mistakes: readonly (readonly [string, Readonly<Record<string, unknown>>, RegExp])[] = [
    ["an unknown mode", { mtls: { mode: "MUTUAL" } }, /^error mtls\.mode: is "MUTUAL", expected one of UNSET, DISABLE/],
    ["a mode in small letters", { mtls: { mode: "strict" } }, /^error mtls\.mode: is "strict"/],
    ["an unknown mode of a port", { portLevelMtls: { 80: { mode: "OFF" } } }, /^error portLevelMtls\.80\.mode: is "OFF"/],
    ["port 0", { portLevelMtls: { 0: { mode: "STRICT" } } }, /^error portLevelMtls: has port "0", expected one from 1/],
    ["a port over 65535", { portLevelMtls: { 65536: { mode: "STRICT" } } }, /^error portLevelMtls: has port "65536"/],
    ["a port by name", { portLevelMtls: { http: { mode: "STRICT" } } }, /^error portLevelMtls: has port "http"/],
    ["a pattern for a label", { selector: { matchLabels: { app: "a*" } } }, /^error selector\.matchLabels: has "app: a\*"/],
    ["a label without a name", { selector: { matchLabels: { "": "a" } } }, /^error selector\.matchLabels: has ": a"/],
    ["expressions", { selector: { matchExpressions: [] } }, /^error selector\.matchExpressions: is an unknown field/],
    ["a misspelt field", { mTLS: { mode: "STRICT" } }, /^error mTLS: is an unknown field/],
  ];
  for (const [title, spec, expected] of mistakes) {
    test(`${title} is named with its path`, () => {
      assert.match(read({ spec }).problems.join("\n"), expected);
    });
  }

  test("any value anywhere is read or reported, never thrown", () => {
    const random = seededRandom(7);
    const values: readonly unknown[] = [null, 0, -1, "", "STRICT", true, [], {}, { mode: 1 }, { mode: "DISABLE" }, { matchLabels: "x" }];
    const pick = (): unknown => values[Math.floor(random() * values.length)];
    const keys = ["selector", "mtls", "portLevelMtls", "matchLabels", "mode", "80", "x"];
    for (let round = 0; round < 2_000; round++) {
      const build = (depth: number): unknown =>
        depth === 0 || random() < 0.3
          ? pick()
          : Object.fromEntries(keys.filter(() => random() < 0.4).map((key) => [key, build(depth - 1)]));
      const { spec, problems } = read({ spec: build(3) });
      if (problems.length > 0) continue;
      for (const port of spec.ports.keys()) assert.ok(port >= 1 && port <= 65_535, `port ${port}`);
    }
  });
});
