// Explanations of Envoy bootstraps: no mesh behind them, the same steps.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { explainBootstrap } from "../../../src/explain/bootstrap.ts";
import { explain } from "../../../src/explain/explain.ts";
import type { Explanation } from "../../../src/explain/explanation.ts";
import { parseQuestion, type QuestionText } from "../../../src/explain/question.ts";
import { sentences } from "../../support/explained-mesh.ts";

const folder = mkdtempSync(join(tmpdir(), "isthmus-explain-"));
after(() => rmSync(folder, { recursive: true }));

const typed = (name: string): string => `"@type": type.googleapis.com/envoy.extensions.filters.network.${name}`;
const manager = "http_connection_manager.v3.HttpConnectionManager";
const own = join(folder, "own.yaml");
writeFileSync(
  own,
  `static_resources:
  listeners:
  - name: web
    address: {socket_address: {address: 127.0.0.1, port_value: 8080}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          ${typed(manager)}
          stat_prefix: web
          strip_any_host_port: true
          http_filters:
          - name: router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
          route_config:
            name: web
            virtual_hosts:
            - name: books
              domains: [books.example]
              routes:
              - {name: sick, match: {prefix: /sick}, route: {cluster: sick}}
              - {name: gone, match: {prefix: /gone}, route: {cluster_header: x-cluster}}
              - {name: version, match: {prefix: /, query_parameters: [{name: v, string_match: {exact: "2"}}]}, route: {cluster: sick}}
            - name: secure
              domains: [secure.example]
              require_tls: ALL
              routes: [{match: {prefix: /}, direct_response: {status: 200}}]
  - name: tls
    address: {socket_address: {address: 127.0.0.1, port_value: 8443}}
    listener_filters:
    - name: tls
      typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector}
    filter_chains:
    - name: one
      filter_chain_match: {server_names: [one.example]}
      filters:
      - name: tcp
        typed_config: {${typed("tcp_proxy.v3.TcpProxy")}, stat_prefix: t, cluster: sick}
  clusters:
  - name: sick
    type: STATIC
    common_lb_config: {healthy_panic_threshold: {value: 0}}
    load_assignment:
      cluster_name: sick
      endpoints: [{lb_endpoints: [{health_status: UNHEALTHY, endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}}]}]
`,
);

async function ask(file: string, text: QuestionText): Promise<Explanation> {
  const loaded = await explainBootstrap(file);
  assert.ok(loaded.ok);
  const question = parseQuestion(text);
  assert.ok(!("problem" in question));
  return explain(loaded.config, question);
}

const host = (name: string): readonly string[] => [`host: ${name}`];

suite("explanations of bootstraps", () => {
  for (const [title, question, ends, says] of [
    [
      "endpoints of which none is healthy",
      { target: "http://127.0.0.1:8080/sick", headers: host("books.example:8080") },
      "503 UH no_healthy_upstream",
      "1 endpoint, none of which may be used",
    ],
    [
      "a cluster named by a header that is not sent",
      { target: "http://127.0.0.1:8080/gone", headers: host("books.example") },
      "503 NC cluster_not_found",
      "no cluster",
    ],
    [
      "a query parameter",
      { target: "http://127.0.0.1:8080/x?v=1", headers: host("books.example") },
      "404 NR route_not_found",
      'wants query parameter v exact "2"',
    ],
    [
      "the nearest host",
      { target: "http://127.0.0.1:8080/", headers: host("boks.example") },
      "404 NR route_not_found",
      "the nearest hosts are books.example",
    ],
    [
      "a redirect to https",
      { target: "http://127.0.0.1:8080/a", headers: host("secure.example") },
      "301 - direct_response",
      "answered with 301 to https://secure.example/a",
    ],
    ["TLS at a port of HTTP", { target: "https://127.0.0.1:8080/" }, "400 DPE http1.codec_error", "the client sends TLS"],
    ["no HTTP at a port of HTTP", { target: "127.0.0.1:8080", tcp: true }, "400 DPE http1.codec_error", "bytes that are no HTTP"],
    ["a port without a listener", { target: "http://127.0.0.1:9/" }, " - -", "nothing listens on 127.0.0.1:9"],
    ["a server name that no chain has", { sni: "two.example" }, " NR filter_chain_not_found", "server_names there are: one.example"],
    ["a cluster of TCP without a healthy host", { sni: "one.example" }, " UH -", "no endpoint is healthy"],
  ] as const) {
    test(title, async () => {
      const explanation = await ask(own, question);
      const { status, flags, details } = explanation.verdict;
      assert.equal(`${status ?? ""} ${flags} ${details}`, ends, sentences(explanation));
      assert.ok(sentences(explanation).includes(says), sentences(explanation));
    });
  }

  test("the sample configuration forwards what no other route takes", async () => {
    const file = fileURLToPath(new URL("../../../config/http.yaml", import.meta.url));
    const explanation = await ask(file, { target: "http://127.0.0.1:10000/x" });
    assert.equal(explanation.verdict.sent, true);
  });

  test("a file that is no bootstrap is said to be none", async () => {
    const loaded = await explainBootstrap(join(folder, "nowhere.yaml"));
    assert.ok(!loaded.ok);
    assert.match(loaded.problems.join(), /cannot read the file/);
  });
});
