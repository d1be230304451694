// Every translation written down here is accepted by the decoders that the data plane reads it with.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { decodeResources } from "../../../src/envoy/bootstrap-decoder.ts";
import { extensions } from "../../../src/envoy/extensions.ts";
import { formatPath } from "../../../src/source/yaml-document.ts";

const here = fileURLToPath(new URL(".", import.meta.url));

interface Written {
  readonly [kind: string]: { readonly resources: readonly unknown[] };
}

suite("written translations", () => {
  for (const file of readdirSync(here, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".out.json"))) {
    test(`${file} is accepted`, () => {
      // Our own files, each with a list a kind.
      const written = JSON.parse(readFileSync(join(here, file), "utf8")) as Written;
      const of = (kind: string): readonly unknown[] => written[kind]?.resources ?? [];
      const resources = { listeners: of("lds"), clusters: of("cds"), endpoints: of("eds"), routes: of("rds"), secrets: [] };
      const { rejected, issues } = decodeResources(resources, { extensions });
      assert.deepEqual(
        issues.filter((issue) => issue.severity === "error").map((issue) => `${formatPath(issue.path)}: ${issue.message}`),
        [],
      );
      assert.deepEqual(rejected, []);
    });
  }
});
