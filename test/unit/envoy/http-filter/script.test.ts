// The script filter's configuration: what is read, and what is refused with its path.
import assert from "node:assert/strict";
import { resolve } from "node:path";
import { suite, test } from "node:test";
import { decode } from "../../../../src/envoy/decode/cursor.ts";
import { extensions } from "../../../../src/envoy/extensions.ts";
import { decodeScript, decodeScriptPerRoute } from "../../../../src/envoy/http-filter/script.ts";

const context = { extensions, folder: "/etc/isthmus" };

suite("script filter configuration", () => {
  test("has its defaults, and a path relative to the configuration's folder", () => {
    const decoded = decode(decodeScript, { module: "./a.ts" }, context);
    assert.deepEqual(decoded.ok && decoded.value, {
      module: "/etc/isthmus/a.ts",
      config: {},
      timeoutMs: 1_000,
      memoryBytes: 64 * 1024 * 1024,
      maxBodyBytes: 1024 * 1024,
      failOpen: false,
      statPrefix: "",
    });
  });

  test("an absolute path stays, and without a folder the working directory counts", () => {
    const at = (module: string, folder?: string): unknown => {
      const decoded = decode(decodeScript, { module }, { extensions, ...(folder === undefined ? {} : { folder }) });
      return decoded.ok ? decoded.value.module : decoded.issues;
    };
    assert.equal(at("/x/a.ts", "/etc"), "/x/a.ts");
    assert.equal(at("a.ts"), resolve("a.ts"));
  });

  test("what is wrong with the module is an error at its path", () => {
    const checkModule = (path: string): string => `${path}:3: SyntaxError`;
    const decoded = decode(decodeScript, { module: "a.ts" }, { ...context, checkModule });
    assert.deepEqual(decoded.issues, [
      { severity: "error", path: ["module"], message: "the module does not load: /etc/isthmus/a.ts:3: SyntaxError" },
    ]);
  });

  for (const [title, json, path] of [
    ["no module", {}, "module"],
    ["an empty module", { module: "" }, "module"],
    ["no time", { module: "a.ts", timeout: "0s" }, "timeout"],
    ["too little memory", { module: "a.ts", memory_limit_mb: 1 }, "memory_limit_mb"],
    ["no body", { module: "a.ts", max_body_bytes: 0 }, "max_body_bytes"],
    ["a configuration that is no object", { module: "a.ts", config: [] }, "config"],
    ["an unknown field", { module: "a.ts", modul: 1 }, "modul"],
  ] as const) {
    test(`${title} is refused`, () => {
      const decoded = decode(decodeScript, json, context);
      assert.equal(decoded.ok, false);
      assert.deepEqual(
        decoded.issues.map((issue) => issue.path.join(".")),
        [path],
      );
    });
  }

  for (const [json, value] of [
    [{ disabled: true }, { kind: "disabled" }],
    [{ config: { a: 1 } }, { kind: "config", config: { a: 1 } }],
    [{ disabled: false }, undefined],
    [{}, undefined],
    [{ disabled: true, config: {} }, undefined],
  ] as const) {
    test(`a route's ${JSON.stringify(json)} is ${value === undefined ? "refused" : value.kind}`, () => {
      const decoded = decode(decodeScriptPerRoute, json, context);
      assert.deepEqual(decoded.ok ? decoded.value : undefined, value);
    });
  }
});
