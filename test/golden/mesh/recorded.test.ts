// Compares translations with what Istio's own control plane was recorded to send, where those recordings are present.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { loadMeshDirectory } from "../../../src/source/mesh/directory/load.ts";
import { parseNodeFile } from "../../../src/source/mesh/node.ts";
import { translate } from "../../../src/source/mesh/translate.ts";
import { resourceDifferences } from "./json-difference.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const recordings = resolve(process.env["ISTHMUS_ORACLE"] ?? join(root, "..", "shared", "oracle"));
const scenarios = join(recordings, "scenarios");
const skip = existsSync(scenarios) ? false : `no recordings in ${recordings}`;

/** Extensions that istiod configures and this translation leaves out, each with its reason. */
const leftOutFilters: ReadonlyMap<string, string> = new Map([
  ["istio.stats", "telemetry is built in"],
  ["envoy.filters.http.grpc_stats", "telemetry is built in"],
  ["envoy.filters.network.mongo_proxy", "only counts commands"],
  ["istio.metadata_exchange", "peers are told by certificate; a proxy that never selects istio-peer-exchange must not send it"],
]);

/** Fields left out for the same reason. */
const leftOutFields: ReadonlyMap<string, string> = new Map([
  ["tracing", "no tracing provider is configured in any recording"],
  ["request_id_extension", "says what is the default"],
]);

/** What the control plane was told, beside its defaults. */
const variablesOf: Readonly<Record<string, string>> = { "S3-v1alloc": "false" };

function withoutLeftOut(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items: readonly unknown[] = value;
    return items.filter((item) => !leftOutFilters.has(String((item as { name?: unknown } | null)?.name))).map(withoutLeftOut);
  }
  if (typeof value !== "object" || value === null) return value;
  const kept = Object.entries(value)
    .filter(([key]) => !leftOutFields.has(key))
    .map(([key, item]) => [key, withoutLeftOut(item)] as const)
    .filter(([key, item]) => !(key === "filters" && Array.isArray(item) && item.length === 0));
  return Object.fromEntries(kept);
}

const folders = (path: string): readonly string[] =>
  readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));

const resourcesOf = (file: string): readonly unknown[] => {
  if (!existsSync(file)) return [];
  return (withoutLeftOut(JSON.parse(readFileSync(file, "utf8"))) as { resources: readonly unknown[] }).resources;
};

suite("recorded translations", { skip }, () => {
  for (const scenario of skip === false ? folders(scenarios) : []) {
    for (const node of folders(join(scenarios, scenario, "golden"))) {
      test(`${scenario}/${node} is served what istiod sends`, async () => {
        const { mesh, issues } = await loadMeshDirectory(join(scenarios, scenario, "mesh"), {
          variables: { PILOT_ENABLE_IP_AUTOALLOCATE: variablesOf[scenario] ?? "true" },
        });
        assert.deepEqual(
          issues.filter((issue) => issue.severity === "error"),
          [],
        );
        const golden = join(scenarios, scenario, "golden", node);
        const parsed = parseNodeFile(readFileSync(join(golden, "node.json"), "utf8"));
        assert.ok(parsed.ok);
        const ours = translate(mesh, parsed.value);
        for (const kind of ["cds", "eds", "lds", "rds", "nds"] as const) {
          assert.deepEqual(resourceDifferences(ours[kind].resources, resourcesOf(join(golden, "raw", `${kind}.json`))), [], kind);
        }
      });
    }
  }
});
