// Istio's published authorization cases: which policies, under which MeshConfig, come to which filters. The files themselves are
// not part of this repository: $ISTHMUS_ISTIO_AUTHZ names the folder of pilot/pkg/security/authz/builder/testdata.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { referenceFolder } from "./reference.ts";

const candidates = [
  process.env["ISTHMUS_ISTIO_AUTHZ"],
  path.join(referenceFolder, "istio-authz"),
  path.join(os.homedir(), ".cache/isthmus-peers/istio-authz"),
];

/** The folder with `http/` and `tcp/`, or undefined when it is not here. */
export const casesFolder = candidates.find((folder) => folder !== undefined && fs.existsSync(path.join(folder, "http")));

/** One case. Every set of expectations holds for the same filters. */
export interface PublishedCase {
  readonly name: string;
  readonly kind: "http" | "tcp";
  readonly input: string;
  readonly outputs: readonly (readonly string[])[];
  readonly trustDomains: readonly string[];
  /** CUSTOM alone is built under a MeshConfig with a provider, and the rest without. */
  readonly meshConfig?: object;
}

const host = "foo/my-custom-ext-authz.foo.svc.cluster.local";
const provider = (settings: object): object => ({ extensionProviders: [{ name: "default", ...settings }] });
const common = { service: host, port: 9000, failOpen: true, statusOnError: "403" };

const grpcNoNamespace = provider({ envoyExtAuthzGrpc: { ...common, service: "my-custom-ext-authz.foo.svc.cluster.local" } });
const grpc = provider({
  envoyExtAuthzGrpc: { ...common, timeout: "0.002s", includeRequestBodyInCheck: { maxRequestBytes: 4096, allowPartialMessage: true } },
});
const patterns = ["x-prefix-*", "*-suffix"];
const http = provider({
  envoyExtAuthzHttp: {
    ...common,
    timeout: "10s",
    pathPrefix: "/check",
    includeRequestHeadersInCheck: ["x-custom-id", ...patterns],
    includeHeadersInCheck: ["should-not-include-when-IncludeRequestHeadersInCheck-is-set"],
    includeAdditionalHeadersInCheck: { "x-header-1": "value-1", "x-header-2": "value-2" },
    includeRequestBodyInCheck: { maxRequestBytes: 2048, allowPartialMessage: true, packAsBytes: true },
    headersToUpstreamOnAllow: ["Authorization", ...patterns],
    headersToDownstreamOnDeny: ["Set-cookie", ...patterns],
    headersToDownstreamOnAllow: ["Set-cookie", ...patterns],
  },
});

const plain = (name: string, kind: "http" | "tcp" = "http", parts = 1): PublishedCase => published(name, kind, name, name, parts);

function published(
  name: string,
  kind: "http" | "tcp",
  input: string,
  output: string,
  parts: number,
  more: Partial<PublishedCase> = {},
): PublishedCase {
  const outputs = parts === 1 ? [`${output}-out.yaml`] : Array.from({ length: parts }, (_, index) => `${output}-out${index + 1}.yaml`);
  // The same again under names of their own: Istio's two ways of saying what claims must be have become one.
  const repeated = kind === "http" ? [outputs, outputs.map((file) => `extended-${file}`)] : [outputs];
  return { name, kind, input: `${input}-in.yaml`, outputs: repeated, trustDomains: [], ...more };
}

/** Every case. */
export const publishedCases: readonly PublishedCase[] = [
  ...["allow-empty-rule", "allow-full-rule", "allow-nil-rule", "allow-path", "audit-full-rule"].map((name) => plain(name)),
  published("custom-grpc-provider-no-namespace", "http", "custom-simple-http", "custom-grpc-provider-no-namespace", 2, {
    meshConfig: grpcNoNamespace,
  }),
  published("custom-grpc-provider", "http", "custom-simple-http", "custom-grpc-provider", 2, { meshConfig: grpc }),
  published("custom-http-provider", "http", "custom-simple-http", "custom-http-provider", 2, { meshConfig: http }),
  published("custom-bad-multiple-providers", "http", "custom-bad-multiple-providers", "custom-bad", 1, { meshConfig: http }),
  published("custom-bad-invalid-config", "http", "custom-simple-http", "custom-bad", 1, { meshConfig: {} }),
  plain("deny-and-allow", "http", 2),
  plain("deny-empty-rule"),
  plain("dry-run-allow-and-deny", "http", 2),
  ...["dry-run-allow", "dry-run-mix", "multiple-policies", "single-policy"].map((name) => plain(name)),
  published("trust-domain-one-alias", "http", "simple-policy-td-aliases", "simple-policy-td-aliases", 1, {
    trustDomains: ["td1", "cluster.local"],
  }),
  published("trust-domain-multiple-aliases", "http", "simple-policy-multiple-td-aliases", "simple-policy-multiple-td-aliases", 1, {
    trustDomains: ["td1", "cluster.local", "some-td"],
  }),
  published(
    "trust-domain-wildcard-in-principal",
    "http",
    "simple-policy-principal-with-wildcard",
    "simple-policy-principal-with-wildcard",
    1,
    {
      trustDomains: ["td1", "foobar"],
    },
  ),
  published("trust-domain-aliases-in-source-principal", "http", "td-aliases-source-principal", "td-aliases-source-principal", 1, {
    trustDomains: ["new-td", "old-td", "some-trustdomain"],
  }),
  ...["allow-both-http-tcp", "allow-only-http", "audit-both-http-tcp", "deny-both-http-tcp", "dry-run-mix"].map((name) =>
    plain(name, "tcp"),
  ),
  published("custom-both-http-tcp", "tcp", "custom-both-http-tcp", "custom-both-http-tcp", 2, { meshConfig: grpc }),
  { name: "custom-only-http", kind: "tcp", input: "custom-only-http-in.yaml", outputs: [[]], trustDomains: [], meshConfig: http },
];
