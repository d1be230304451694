// Configurations that real control planes and proxies use, where they are at hand: ISTHMUS_ORACLE names their folder.
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { suite, test } from "node:test";
import { parse } from "yaml";
import { decodeBootstrap, decodeResources, type ResourceKind } from "../../../src/envoy/bootstrap-decoder.ts";
import { context, pem } from "./decoding.ts";

const folder = process.env["ISTHMUS_ORACLE"] ?? join(import.meta.dirname, "../../../../shared/oracle");
const skip = existsSync(folder) ? false : `no recordings at ${folder}`;
const kinds: Readonly<Record<string, ResourceKind>> = {
  "lds.json": "listeners",
  "cds.json": "clusters",
  "eds.json": "endpoints",
  "rds.json": "routes",
};
const withFiles = { ...context, readFile: () => Buffer.from(pem.certificate + pem.key) };

suite("recorded configurations", { skip }, () => {
  test("istiod's resources all decode", () => {
    const files = globSync("scenarios/*/golden/*/raw/{lds,cds,eds,rds}.json", { cwd: folder });
    assert.ok(files.length > 20);
    for (const file of files) {
      const { resources } = JSON.parse(readFileSync(join(folder, file), "utf8")) as { resources: readonly unknown[] };
      const decoded = decodeResources({ [kinds[basename(file)] ?? ""]: resources }, withFiles);
      assert.deepEqual(
        decoded.issues.filter((issue) => issue.severity === "error"),
        [],
        file,
      );
      assert.equal(Object.values(decoded.resources).flat().length, resources.length);
    }
  });

  test("a bootstrap that uses most of what Envoy can do decodes without an issue", () => {
    const json = parse(readFileSync(join(folder, "behaviours/static/envoy.yaml"), "utf8"), { merge: true, maxAliasCount: -1 }) as Record<
      string,
      unknown
    >;
    const { "x-parts": _, ...bootstrap } = json;
    const decoded = decodeBootstrap(bootstrap, withFiles);
    assert.deepEqual(decoded.issues, []);
    assert.ok(decoded.bootstrap.resources.listeners.length >= 8);
  });
});
