import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { decodeResources } from "../../../src/envoy/bootstrap-decoder.ts";
import { Cursor, type Decoder } from "../../../src/envoy/decode/cursor.ts";
import { message } from "../../../src/envoy/decode/message.ts";
import { DecodeMemory, remembered } from "../../../src/envoy/decode/remembered.ts";
import { list, text } from "../../../src/envoy/decode/scalars.ts";
import { extensions } from "../../../src/envoy/extensions.ts";

const virtualHost = (name: string): object => ({
  name,
  domains: [name],
  routes: [{ match: { prefix: "/" }, route: { cluster: name } }],
});

suite("remembered decoding", () => {
  const item: Decoder<{ readonly name: string }> = message(["name"], (m) => ({ name: m.required("name", text) }));
  const items = message(["items"], (m) => m.field("items", list(remembered(item)), []));

  function run(json: unknown, memory: DecodeMemory): { readonly value: unknown; readonly issues: readonly string[] } {
    const at = new Cursor({ extensions, memory });
    const value = items(json, at);
    return { value, issues: at.issues.map(({ path, message: text }) => `${path.join(".")}: ${text}`) };
  }

  test("gives the same value for the same object, and its issues at the place where it is now", () => {
    const memory = new DecodeMemory();
    const [good, bad] = [{ name: "a" }, { name: 1 }];
    const first = run({ items: [good, bad] }, memory);
    const second = run({ items: [bad, { name: "new" }, good] }, memory);
    assert.deepEqual(first.issues, ["items.1.name: expected a string, got 1 (quote it)"]);
    assert.deepEqual(second.issues, ["items.0.name: expected a string, got 1 (quote it)"]);
    const [[goodThen], [, , goodNow]] = [first.value, second.value] as [object[], object[]];
    assert.equal(goodThen, goodNow);
  });

  test("decodes an equal object that is another one", () => {
    const memory = new DecodeMemory();
    const [[one], [other]] = [run({ items: [{ name: "a" }] }, memory).value, run({ items: [{ name: "a" }] }, memory).value] as [
      object[],
      object[],
    ];
    assert.deepEqual(one, other);
    assert.notEqual(one, other);
  });

  test("does not remember what came from a file", () => {
    let content = "one";
    const memory = new DecodeMemory();
    const decoder = remembered((_json, at) => at.outside().readFile?.("f"));
    const context = { extensions, memory, readFile: () => Buffer.from(content) };
    const json = {};
    const read = (): string => Buffer.from(decoder(json, new Cursor(context)) as Uint8Array).toString();
    assert.equal(read(), "one");
    content = "two";
    assert.equal(read(), "two");
  });

  test("keeps unchanged virtual hosts and resources across loads", () => {
    const memory = new DecodeMemory();
    const [a, b] = [virtualHost("a"), virtualHost("b")];
    const cluster = { name: "a", type: "STATIC", load_assignment: { cluster_name: "a" } };
    const load = (hosts: readonly object[]): ReturnType<typeof decodeResources>["resources"] =>
      decodeResources({ clusters: [cluster], routes: [{ name: "80", virtual_hosts: hosts }] }, { extensions, memory }).resources;
    const [first, second] = [load([a, b]), load([a, virtualHost("c")])];
    assert.equal(first.clusters[0], second.clusters[0]);
    assert.equal(first.routes[0]?.virtualHosts[0], second.routes[0]?.virtualHosts[0]);
    assert.deepEqual(
      second.routes[0]?.virtualHosts.map(({ name }) => name),
      ["a", "c"],
    );
  });
});
