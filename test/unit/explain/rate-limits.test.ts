// What explanations say of rate limit filters: what a request counts as, and the limits that meets.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, test } from "node:test";
import { explainBootstrap } from "../../../src/explain/bootstrap.ts";
import { explain } from "../../../src/explain/explain.ts";
import type { Explanation } from "../../../src/explain/explanation.ts";
import { parseQuestion } from "../../../src/explain/question.ts";
import { sentences } from "../../support/explained-mesh.ts";

const folder = mkdtempSync(join(tmpdir(), "isthmus-explain-"));
after(() => rmSync(folder, { recursive: true }));

const type = (name: string): string => `"@type": type.googleapis.com/envoy.extensions.filters.${name}`;
const always = "{default_value: {numerator: 100, denominator: HUNDRED}}";
const local = (fields: string): string => `{${type("http.local_ratelimit.v3.LocalRateLimit")}, stat_prefix: lim, ${fields}}`;
const on = `filter_enabled: ${always}, filter_enforced: ${always}`;
const shared = "token_bucket: {max_tokens: 100, tokens_per_fill: 10, fill_interval: 1s}";
const descriptors =
  "descriptors: [{entries: [{key: user}], token_bucket: {max_tokens: 5, tokens_per_fill: 5, fill_interval: 60s}}," +
  " {entries: [{key: user, value: root}], token_bucket: {max_tokens: 1, fill_interval: 60s}}]";
const byUser = "rate_limits: [{actions: [{request_headers: {header_name: x-user, descriptor_key: user}}]}]";

const bootstrap = `static_resources:
  listeners:
  - name: web
    address: {socket_address: {address: 127.0.0.1, port_value: 8080}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          ${type("network.http_connection_manager.v3.HttpConnectionManager")}
          stat_prefix: web
          http_filters:
          - {name: local, typed_config: ${local(`${shared}, ${descriptors}, ${on}`)}}
          - name: global
            disabled: true
            typed_config:
              ${type("http.ratelimit.v3.RateLimit")}
              domain: shop
              rate_limit_service: {transport_api_version: V3, grpc_service: {envoy_grpc: {cluster_name: limits}}}
          - {name: router, typed_config: {${type("http.router.v3.Router")}}}
          route_config:
            name: web
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /off}
                route: {cluster: app}
                typed_per_filter_config: {local: ${local(shared)}}
              - match: {prefix: /shadow}
                route: {cluster: app}
                typed_per_filter_config: {local: ${local(`${shared}, filter_enabled: ${always}`)}}
              - match: {prefix: /alone}
                route: {cluster: app, ${byUser}}
                typed_per_filter_config: {local: ${local(`${shared}, ${descriptors}, always_consume_default_token_bucket: false, ${on}`)}}
              - match: {prefix: /asked}
                route: {cluster: app, ${byUser}}
                typed_per_filter_config:
                  local: {"@type": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true}
                  global: {${type("http.ratelimit.v3.RateLimitPerRoute")}}
              - match: {prefix: /}
                route: {cluster: app, ${byUser}}
  clusters:
  - &cluster
    name: app
    type: STATIC
    load_assignment:
      cluster_name: app
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}}]}]
  - {name: limits, type: STATIC, load_assignment: {cluster_name: limits}}
`;

const cases: readonly {
  readonly title: string;
  readonly path: string;
  readonly user?: string;
  readonly says: readonly string[];
  /** Whose counts decide. */
  readonly open: readonly string[];
}[] = [
  {
    title: "a request that counts as nothing takes of the bucket of all",
    path: "/",
    says: ["local rate limit lim: the bucket of all requests has 100 tokens, 10 more every 1 s"],
    open: ["local rate limit lim"],
  },
  {
    title: "a descriptor with any value",
    path: "/",
    user: "ann",
    says: ["lim: {user=ann} has 5 tokens, 5 more every 60 s; also the bucket of all requests has 100 tokens, 10 more every 1 s"],
    open: ["local rate limit lim"],
  },
  {
    title: "a descriptor with this very value comes first, and may be all that is taken of",
    path: "/alone",
    user: "root",
    says: ["lim: {user=root} has 1 token, 1 more every 60 s\n"],
    open: ["local rate limit lim"],
  },
  { title: "a limit that is switched off", path: "/off", says: ["lim is switched off: filter_enabled is 0%"], open: [] },
  {
    title: "a limit that refuses nothing",
    path: "/shadow",
    says: ["100 tokens, 10 more every 1 s (nothing is refused)", "no rate limit can refuse it"],
    open: [],
  },
  {
    title: "a service that is asked",
    path: "/asked",
    user: "ann",
    says: ["rate limit service limits is asked in domain shop about {user=ann}"],
    open: ["rate limit service limits"],
  },
  {
    title: "a service that is not asked, as there is nothing to ask about",
    path: "/asked",
    says: ["rate limit service limits is not asked: the request counts as nothing"],
    open: [],
  },
];

suite("explanations of rate limits", () => {
  for (const { title, path, user, says, open } of cases) {
    test(title, async () => {
      const explanation = await ask(path, user);
      const text = `${sentences(explanation)}\n`;
      for (const said of says) assert.ok(text.includes(said), `${said} in\n${text}`);
      const undecided = explanation.warnings.filter(({ code }) => code === "not_evaluated").map((warning) => warning.text);
      assert.equal(undecided.length, open.length, text);
      for (const [index, name] of open.entries()) assert.ok(undecided[index]?.startsWith(`${name} may refuse the request`), text);
      assert.ok(explanation.verdict.sent);
    });
  }

  test("programs get keys, values and buckets", async () => {
    const { steps } = await ask("/alone", "ann");
    assert.deepEqual(steps.find(({ kind }) => kind === "rate_limit")?.data, {
      limits: [{ filter: "local", descriptors: ["{user=ann}"], buckets: [{ maxTokens: 5, tokensPerFill: 5, fillIntervalMs: 60_000 }] }],
    });
  });
});

async function ask(path: string, user: string | undefined): Promise<Explanation> {
  const file = join(folder, "limits.yaml");
  writeFileSync(file, bootstrap);
  const loaded = await explainBootstrap(file);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  const headers = user === undefined ? [] : [`x-user: ${user}`];
  const question = parseQuestion({ target: `http://127.0.0.1:8080${path}`, headers });
  assert.ok(!("problem" in question));
  return explain(loaded.config, question);
}
