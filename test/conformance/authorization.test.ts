// Istio's published authorization cases, where they are present: the same filters, and the same decisions over many requests.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import { loadAll } from "js-yaml";
import { decode } from "../../src/envoy/decode/cursor.ts";
import { extensions } from "../../src/envoy/extensions.ts";
import type { RbacRules } from "../../src/envoy/http-filter/rbac.ts";
import { decodeRbacRules } from "../../src/envoy/http-filter/rbac-decoder.ts";
import { compileRbac } from "../../src/match/rbac.ts";
import { authorizationFilters } from "../../src/source/mesh/authz/filters.ts";
import { policiesOf } from "../../src/source/mesh/authz/policies.ts";
import { buildAuthorizers } from "../../src/source/mesh/authz/providers.ts";
import type { Json } from "../../src/source/mesh/envoy-json.ts";
import { readAuthorizationPolicy } from "../../src/source/mesh/istio/authorization-policy.ts";
import { defaultMeshConfig, readMeshConfig } from "../../src/source/mesh/mesh-config.ts";
import { emptyMeshView } from "../../src/source/mesh/mesh-view.ts";
import { Fields, IssueSink } from "../../src/source/mesh/object/fields.ts";
import { readMeta } from "../../src/source/mesh/object/mesh-object.ts";
import type { MeshService } from "../../src/source/mesh/registry/service.ts";
import { differences } from "../golden/mesh/json-difference.ts";
import { requestsFor } from "../support/rbac-requests.ts";
import { casesFolder, type PublishedCase, publishedCases } from "./authorization-cases.ts";

const subject = { namespace: "foo", labels: { app: "httpbin", version: "v1" } };
const source = { file: "", line: 0, column: 0 };
// Only its name, namespace and host are looked at.
const authorizer = { hostname: "my-custom-ext-authz.foo.svc.cluster.local", name: "my-custom-ext-authz", namespace: "foo" } as MeshService;

function documents(file: string): readonly Json[] {
  return (loadAll(fs.readFileSync(file, "utf8")) as readonly (Json | null)[]).filter((document) => document !== null);
}

function translated({ kind, input, trustDomains, meshConfig }: PublishedCase, folder: string): readonly Json[] {
  const policies = documents(path.join(folder, kind, input)).map((document) => {
    const root = new Fields(document, [], new IssueSink());
    const meta = readMeta(root, "AuthorizationPolicy", source);
    return { meta, spec: readAuthorizationPolicy(root, meta) };
  });
  const config = meshConfig === undefined ? defaultMeshConfig : readMeshConfig(new Fields(meshConfig as Json, [], new IssueSink()));
  const filters = authorizationFilters(
    {
      policies: policiesOf({ ...emptyMeshView, authorizationPolicies: policies }, subject),
      trustDomains,
      authorizers: buildAuthorizers(config.authorizers, [authorizer]),
    },
    kind === "tcp",
  );
  return meshConfig === undefined ? filters.local : filters.custom;
}

/** proto3 JSON in the spelling of the .proto files, as this repository writes it; names of policies are no fields. */
function snakeCase(value: unknown, inPolicies = false): unknown {
  if (Array.isArray(value)) return value.map((item) => snakeCase(item));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      inPolicies ? key : key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      snakeCase(item, key === "policies"),
    ]),
  );
}

function rulesIn(filter: unknown): readonly RbacRules[] {
  const config = (filter as { readonly typed_config: Readonly<Record<string, unknown>> }).typed_config;
  return ["rules", "shadow_rules"].flatMap((field) => {
    if (config[field] === undefined) return [];
    const decoded = decode(decodeRbacRules, config[field], { extensions });
    assert.ok(decoded.ok, field);
    return [decoded.value];
  });
}

suite("Istio's published authorization cases", { skip: casesFolder === undefined ? "they are not here" : false }, () => {
  for (const each of casesFolder === undefined ? [] : publishedCases) {
    test(`${each.kind}: ${each.name}`, () => {
      const ours = translated(each, casesFolder!);
      for (const files of each.outputs) {
        if (files.some((file) => !fs.existsSync(path.join(casesFolder!, each.kind, file)))) continue;
        const theirs = files.map((file) => snakeCase(documents(path.join(casesFolder!, each.kind, file))[0]));
        assert.deepEqual(differences(ours, theirs), []);
        const [own, published] = [ours.flatMap(rulesIn), theirs.flatMap(rulesIn)];
        assert.equal(own.length, published.length);
        own.forEach((rules, index) => {
          const [left, right] = [compileRbac(rules), compileRbac(published[index]!)];
          for (const { connection, request } of requestsFor(published[index]!))
            assert.deepEqual(left(connection, request), right(connection, request));
        });
      }
    });
  }
});
