import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { decodeBuffer, decodeBufferPerRoute } from "../../../src/envoy/http-filter/buffer.ts";
import { decodeCsrf } from "../../../src/envoy/http-filter/csrf.ts";
import { decodeGrpcStats } from "../../../src/envoy/http-filter/grpc-stats.ts";
import { decodeHeaderMutation } from "../../../src/envoy/http-filter/header-mutation.ts";
import { decodeHealthCheckFilter } from "../../../src/envoy/http-filter/health-check.ts";
import { decodeSetMetadata } from "../../../src/envoy/http-filter/set-metadata.ts";
import { decodePerFilterConfig } from "../../../src/envoy/listener/filter-config.ts";
import { accepted, any, issuesOf } from "./decoding.ts";

const half = { default_value: { numerator: 50 } };
const append = { append: { header: { key: "X-A", value: "1" } } };

suite("filters are decoded", () => {
  for (const [title, run, expected] of [
    ["buffer", () => accepted(decodeBuffer, { max_request_bytes: 1 }), { maxRequestBytes: 1 }],
    ["buffer of a route", () => accepted(decodeBufferPerRoute, { disabled: true }), { kind: "disabled" }],
    [
      "CSRF policy",
      () => accepted(decodeCsrf, { filter_enabled: half, additional_origins: [{ exact: "a" }] }),
      { enabledFraction: 0.5, shadowFraction: 0, additionalOrigins: [{ kind: "exact", value: "a", ignoreCase: false }] },
    ],
    [
      "metadata, the deprecated entry first",
      () => accepted(decodeSetMetadata, { metadata_namespace: "a", value: { k: 1 }, metadata: [{ metadata_namespace: "b", value: {} }] }),
      {
        metadata: [
          { namespace: "a", allowOverwrite: true, value: { k: 1 } },
          { namespace: "b", allowOverwrite: false, value: {} },
        ],
      },
    ],
    [
      "health check",
      () => accepted(decodeHealthCheckFilter, { pass_through_mode: false, cluster_min_healthy_percentages: { a: { value: 12.5 } } }),
      { passThroughMode: false, cacheTimeMs: 0, clusterMinHealthyPercentages: [{ cluster: "a", percentage: 12.5 }], headers: [] },
    ],
    [
      "gRPC counting",
      () => accepted(decodeGrpcStats, { individual_method_stats_allowlist: { services: [{ name: "a.B", method_names: ["c", "d"] }] } }),
      {
        emitFilterState: false,
        methods: ["c", "d"].map((method) => ({ service: "a.B", method })),
        enableUpstreamStats: false,
        replaceDots: false,
      },
    ],
    ["gRPC counting for no method", () => accepted(decodeGrpcStats, { stats_for_all_methods: false }).methods, []],
    ["gRPC counting for all", () => accepted(decodeGrpcStats, { stats_for_all_methods: true }).methods, "all"],
    [
      "header mutations in their order",
      () => accepted(decodeHeaderMutation, { mutations: { request_mutations: [{ remove: "X-B" }, append] } }).mutations.request,
      [
        { kind: "remove", name: "x-b" },
        { kind: "append", option: { key: "x-a", value: "1", appendAction: "APPEND_IF_EXISTS_OR_ADD", keepEmptyValue: false } },
      ],
    ],
    [
      "a filter that a route switches on",
      () => accepted(decodePerFilterConfig, { f: any("envoy.config.route.v3.FilterConfig", { config: {} }) }),
      { f: { disabled: false } },
    ],
  ] as const)
    test(title, () => assert.deepEqual(run(), expected));
});

suite("filters are refused", () => {
  for (const [title, issues, expected] of [
    ["a buffer without a limit", issuesOf(decodeBuffer, {}), "error max_request_bytes: required, but not given"],
    [
      "a buffer of nothing",
      issuesOf(decodeBuffer, { max_request_bytes: 0 }),
      "error max_request_bytes: expected a number from 1 to 4294967295, got 0",
    ],
    ["a route that says nothing", issuesOf(decodeBufferPerRoute, {}), "error : one of disabled, buffer is required"],
    ["a route that disables nothing", issuesOf(decodeBufferPerRoute, { disabled: false }), "error disabled: expected true, got false"],
    ["a policy without a share", issuesOf(decodeCsrf, {}), "error filter_enabled: required, but not given"],
    [
      "metadata without a namespace",
      issuesOf(decodeSetMetadata, { metadata: [{ value: {} }] }),
      "error metadata[0].metadata_namespace: required, but not given",
    ],
    [
      "metadata without a value",
      issuesOf(decodeSetMetadata, { metadata: [{ metadata_namespace: "a" }] }),
      "error metadata[0]: either value or typed_value is required",
    ],
    [
      "a cache without pass-through",
      issuesOf(decodeHealthCheckFilter, { pass_through_mode: false, cache_time: "1s" }),
      "error cache_time: must not be given without pass_through_mode",
    ],
    [
      "percentages with pass-through",
      issuesOf(decodeHealthCheckFilter, { pass_through_mode: true, cluster_min_healthy_percentages: { a: { value: 1 } } }),
      "error cluster_min_healthy_percentages: must not be given with pass_through_mode",
    ],
    [
      "two kinds of methods",
      issuesOf(decodeGrpcStats, { stats_for_all_methods: true, individual_method_stats_allowlist: {} }),
      "error stats_for_all_methods: give either this or individual_method_stats_allowlist, not both",
    ],
    [
      "a mutation of nothing",
      issuesOf(decodeHeaderMutation, { mutations: { request_mutations: [{}] } }),
      "error mutations.request_mutations[0]: one of remove, append, remove_on_match is required",
    ],
    [
      "removing the path",
      issuesOf(decodeHeaderMutation, { mutations: { request_mutations: [{ remove: ":path" }] } }),
      "error mutations.request_mutations[0].remove: :-prefixed or host headers may not be removed",
    ],
    [
      "changing the host",
      issuesOf(decodeHeaderMutation, { mutations: { response_mutations: [{ append: { header: { key: "host", value: "" } } }] } }),
      "error mutations.response_mutations[0].append.header.key: :-prefixed or host headers may not be modified",
    ],
    [
      "a parameter without a change",
      issuesOf(decodeHeaderMutation, { mutations: { query_parameter_mutations: [{}] } }),
      "error mutations.query_parameter_mutations[0]: one of append, remove is required",
    ],
  ] as const)
    test(title, () => assert.deepEqual(issues, [expected]));
});
