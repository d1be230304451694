import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { compileEgressHosts } from "../../../../../src/source/mesh/scope/egress-hosts.ts";

const hosts = (texts: readonly string[]): ReturnType<typeof compileEgressHosts> =>
  compileEgressHosts(
    texts.map((text) => {
      const [namespace = "", host = ""] = text.split("/");
      return { namespace, host };
    }),
    "own",
  );

suite("egress hosts", () => {
  const cases: readonly (readonly [readonly string[], string, string, boolean, boolean])[] = [
    // hosts, name, its namespace, imported as a service, imported as a VirtualService's host
    [["*/*"], "a.b.com", "x", true, true],
    [["./*"], "a.b.com", "own", true, true],
    [["./*"], "a.b.com", "x", false, false],
    [["x/a.b.com"], "a.b.com", "x", true, true],
    [["x/a.b.com"], "c.b.com", "x", false, false],
    [["x/a.b.com"], "a.b.com", "y", false, false],
    [["x/*.b.com"], "a.b.com", "x", true, true],
    [["x/*.b.com"], "b.com", "x", false, false],
    [["*/*.b.com"], "*.a.b.com", "x", true, true],
    [["x/a.b.com"], "*.b.com", "x", false, true],
    [["x/*.a.b.com"], "*.b.com", "x", false, true],
    [["x/a.b.com", "*/*.c.com"], "d.c.com", "x", true, true],
    [["~/*"], "a.b.com", "own", false, false],
    [["~/*", "x/a.b.com"], "a.b.com", "x", true, true],
  ];
  for (const [texts, name, namespace, service, rule] of cases) {
    test(`${texts.join(" ")} against ${namespace}/${name}`, () => {
      const compiled = hosts(texts);
      assert.equal(compiled.importsService(name, namespace), service);
      assert.equal(compiled.importsRule(name, namespace), rule);
    });
  }
});
