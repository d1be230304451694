import assert from "node:assert/strict";
import { test } from "node:test";
import { formatSpiffeId, parseSpiffeId } from "../../../../src/identity/ca/spiffe-id.ts";

test("Istio's SPIFFE IDs are read and written", () => {
  const uri = "spiffe://cluster.local/ns/default/sa/sleep";
  const identity = parseSpiffeId(uri);
  assert.deepEqual(identity, { trustDomain: "cluster.local", namespace: "default", serviceAccount: "sleep" });
  assert.equal(formatSpiffeId(identity!), uri);
});

test("what is not exactly one is refused", () => {
  for (const text of [
    "",
    "spiffe://cluster.local",
    "spiffe://cluster.local/ns/default/sa/",
    "spiffe://cluster.local/ns/default/sa/sleep/",
    "spiffe://cluster.local/ns/default/sa/sleep?x",
    "spiffe://cluster.local/ns/default/sa/sleep#x",
    "spiffe://cluster.local/ns/../sa/sleep",
    "spiffe://Cluster.Local/ns/default/sa/sleep",
    "spiffe://user@cluster.local/ns/default/sa/sleep",
    "spiffe://cluster.local:80/ns/default/sa/sleep",
    "spiffe:///ns/default/sa/sleep",
    "SPIFFE://cluster.local/ns/default/sa/sleep",
    "https://cluster.local/ns/default/sa/sleep",
    "spiffe://cluster.local/sa/sleep/ns/default",
    "spiffe://cluster.local/ns/default/sa/sle%65p",
  ]) {
    assert.equal(parseSpiffeId(text), undefined, text);
  }
});
