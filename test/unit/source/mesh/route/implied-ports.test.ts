import assert from "node:assert/strict";
import { test } from "node:test";
import { impliedPorts } from "../../../../../src/source/mesh/route/implied-ports.ts";

test("a cluster is meant to be absent when its service and subset are there with other ports alone", () => {
  const meant = impliedPorts([{ name: "outbound|80||a.example" }, { name: "outbound|80|v1|a.example" }, { name: "PassthroughCluster" }]);
  for (const [cluster, expected] of [
    ["outbound|8080||a.example", true],
    ["outbound|8080|v1|a.example", true],
    ["outbound|8080|v2|a.example", false],
    ["outbound|80||b.example", false],
    ["inbound|8080||", false],
    ["BlackHoleCluster", false],
  ] as const) {
    assert.equal(meant(cluster), expected, cluster);
  }
});
