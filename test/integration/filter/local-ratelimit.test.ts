// Local limits by descriptor through a whole proxy: what requests count as by the rate limits of routes and virtual hosts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bootstrap, cluster, httpListener, startTestProxy } from "../../support/proxy.ts";
import { connectRaw, hasResponses, listenHttp, reply } from "../../support/raw-http.ts";

const name = "envoy.filters.http.local_ratelimit";
const type = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
const router = { name: "router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } };
const everything = { default_value: { numerator: 100 } };
const tokens = (max_tokens: number): object => ({ max_tokens, tokens_per_fill: max_tokens, fill_interval: "600s" });

interface Case {
  readonly name: string;
  /** One rate limit of the route, and of the virtual host. */
  readonly actions?: readonly object[];
  readonly hostActions?: readonly object[];
  readonly limit?: object;
  readonly route?: object;
  /** Key and value of the descriptor that lets one request pass. */
  readonly entry: readonly [string, string];
  /** Of the request; default `/`. */
  readonly path?: string;
  readonly fields?: string;
  /** The descriptor is not what the requests count as. */
  readonly apart?: true;
}

const generic = (value: string): object => ({ generic_key: { descriptor_value: value } });
const gone = { request_headers: { header_name: "x-gone", descriptor_key: "gone" } };

const cases: readonly Case[] = [
  { name: "generic_key", actions: [generic("k")], entry: ["generic_key", "k"] },
  { name: "request_headers", actions: [{ request_headers: { header_name: "x-user", descriptor_key: "u" } }], entry: ["u", "7"], fields: "x-user: 7\r\n" },
  { name: "request_headers of a header that is missing", actions: [generic("k"), gone], entry: ["generic_key", "k"], apart: true },
  { name: "request_headers that may be missing", actions: [generic("k"), { request_headers: { ...gone.request_headers, skip_if_absent: true } }],
    entry: ["generic_key", "k"] },
  { name: "remote_address", actions: [{ remote_address: {} }], entry: ["remote_address", "127.0.0.1"] },
  { name: "masked_remote_address", actions: [{ masked_remote_address: { v4_prefix_mask_len: 8 } }], entry: ["masked_remote_address", "127.0.0.0/8"] },
  { name: "destination_cluster", actions: [{ destination_cluster: {} }], entry: ["destination_cluster", "origin"] },
  { name: "source_cluster", actions: [{ source_cluster: {} }], entry: ["source_cluster", "shop"] },
  { name: "header_value_match", actions: [{ header_value_match: { descriptor_value: "p", headers: [{ name: "x-user", present_match: true }] } }],
    entry: ["header_match", "p"], fields: "x-user: 7\r\n" },
  { name: "query_parameter_value_match", entry: ["query_match", "q"], path: "/?q=a%20b",
    actions: [{ query_parameter_value_match: { descriptor_value: "q", query_parameters: [{ name: "q", string_match: { exact: "a b" } }] } }] },
  { name: "query_parameters", actions: [{ query_parameters: { query_parameter_name: "q", descriptor_key: "k" } }], entry: ["k", "a&b"], path: "/?q=a%26b" },
  { name: "metadata", entry: ["m", "other"],
    actions: [{ metadata: { descriptor_key: "m", metadata_key: { key: "f", path: [{ key: "k" }] }, default_value: "other" } }] },
  { name: "the virtual host's", hostActions: [generic("v")], entry: ["generic_key", "v"] },
  { name: "the virtual host's, where the route has its own", actions: [generic("r")], hostActions: [generic("v")], entry: ["generic_key", "v"], apart: true },
  { name: "the virtual host's, which the filter includes", actions: [generic("r")], hostActions: [generic("v")], entry: ["generic_key", "v"],
    limit: { vh_rate_limits: "INCLUDE" } },
  { name: "the virtual host's, which the route includes", actions: [generic("r")], hostActions: [generic("v")], entry: ["generic_key", "v"],
    route: { include_vh_rate_limits: true } },
  { name: "the virtual host's, which the filter ignores", hostActions: [generic("v")], entry: ["generic_key", "v"], limit: { vh_rate_limits: "IGNORE" }, apart: true },
  { name: "another stage's", actions: [generic("k")], entry: ["generic_key", "k"], limit: { stage: 1 }, apart: true },
  { name: "the filter's own", actions: [generic("r")], entry: ["generic_key", "f"], limit: { rate_limits: [{ actions: [generic("f")] }] } },
]; // prettier-ignore

test("requests are limited by what they count as", async (t) => {
  const origin = await listenHttp(({ socket }) => reply(socket, "hello"));
  t.after(() => origin.close());
  const hosts = cases.map(({ actions, hostActions, limit, route, entry: [key, value] }, index) => ({
    name: `v${index}`,
    domains: [`case${index}`],
    ...(hostActions && { rate_limits: [{ actions: hostActions }] }),
    routes: [
      {
        match: { prefix: "/" },
        route: { cluster: "origin", ...(actions && { rate_limits: [{ actions }] }), ...route },
        typed_per_filter_config: {
          [name]: {
            "@type": type,
            stat_prefix: "x",
            token_bucket: tokens(100),
            filter_enabled: everything,
            filter_enforced: everything,
            enable_x_ratelimit_headers: "DRAFT_VERSION_03",
            descriptors: [{ entries: [{ key, value }], token_bucket: tokens(1) }],
            ...limit,
          },
        },
      },
    ],
  }));
  const manager = {
    http_filters: [{ name, typed_config: { "@type": type, stat_prefix: "x" } }, router],
    route_config: { name: "r", virtual_hosts: hosts },
  };
  const config = bootstrap([httpListener("main", { manager })], [cluster("origin", origin.port)]);
  const proxy = await startTestProxy(t, { ...config, node: { id: "n", cluster: "shop" } });
  for (const [index, { name: title, path, fields, apart }] of cases.entries()) {
    await t.test(title, async () => {
      const client = await connectRaw(proxy.port("main"));
      const request = `GET ${path ?? "/"} HTTP/1.1\r\nhost: case${index}\r\n${fields ?? ""}\r\n`;
      client.socket.write(request);
      const first = await client.until(hasResponses(1));
      client.socket.write(request);
      const both = await client.until(hasResponses(2));
      client.socket.destroy();
      assert.match(first, /^HTTP\/1\.1 200 /);
      assert.match(first, apart ? /x-ratelimit-limit: 100\r\n/ : /x-ratelimit-limit: 1\r\n/);
      assert.match(both.slice(first.length), apart ? /^HTTP\/1\.1 200 / : /^HTTP\/1\.1 429 [^]*local_rate_limited$/);
    });
  }
});
