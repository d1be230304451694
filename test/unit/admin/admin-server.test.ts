// The admin endpoints over HTTP: Envoy's paths, statuses and shapes, and nothing secret.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, suite, test } from "node:test";
import type { AdminContext } from "../../../src/admin/admin-context.ts";
import { startAdminServer } from "../../../src/admin/admin-server.ts";
import type { HttpServer } from "../../../src/net/http-server.ts";
import type { Logger } from "../../../src/telemetry/logger.ts";
import type { LogLevel } from "../../../src/telemetry/pino-logger.ts";
import { StatsSlab } from "../../../src/telemetry/stats-slab.ts";
import { StatsReader } from "../../../src/telemetry/stats/stats-reader.ts";

const quiet: Logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined, child: () => quiet };
const thresholds = { maxConnections: 1024, maxPendingRequests: 1024, maxRequests: 1024, maxRetries: 3 };
const unused = { connections: 0, pendingRequests: 0, requests: 0, retries: 0 };
const key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";

let server: HttpServer;
let calls: string[];
let level: LogLevel;
let state: ReturnType<AdminContext["state"]>;
let broken: boolean;
let answering = true;

const reader = new StatsReader();
const slab = new StatsSlab((announcement) => reader.add("w", announcement));

const context: AdminContext = {
  reader,
  version: "isthmus/0",
  options: { concurrency: 2 },
  state: () => state,
  uptimeMs: () => 3999,
  wallMs: () => 0,
  node: () => ({ id: "n", cluster: "c", locality: { region: "r", zone: "", subZone: "s" }, metadata: { NETWORK: "net" } }),
  config: () => ({
    version: 3,
    lastUpdatedMs: 0,
    source: "bootstrap",
    resources: {
      listeners: [],
      clusters: [],
      routes: [],
      endpoints: [],
      secrets: [{ name: "default", certificate: { certificateChain: "chain", privateKey: key, password: "hunter2" } }],
    },
    bootstrap: { static_resources: { listeners: [{ tls: { private_key: { inline_string: "k1" }, note: key } }] } },
    json: {
      listeners: [{ name: "main", privateKey: "k2" }],
      clusters: [{ name: "a" }, { name: "b", jwks: '{"keys":[{"kty":"oct","k":"k3"}]}' }],
      routes: [],
      endpoints: [{ cluster_name: "a" }],
    },
    issues: [{ severity: "warning", text: "f.yaml:1:2 a.b: not honoured" }],
  }),
  clusters: () => {
    if (broken) return Promise.reject(new Error("boom"));
    return Promise.resolve([
      {
        name: "a",
        type: "STATIC",
        edsServiceName: "",
        lbPolicy: "ROUND_ROBIN",
        circuitBreakers: { default: thresholds, high: thresholds },
        resources: { default: unused, high: unused },
        hosts: [
          {
            address: "127.0.0.1:9",
            hostname: "h",
            health: "healthy",
            failedOutlierCheck: true,
            pendingRemoval: false,
            weight: 1,
            priority: 0,
            locality: { region: "r1", zone: "", subZone: "" },
            cxTotal: 6,
            cxActive: 5,
            cxConnectFail: 1,
            rqActive: 4,
            tls: false,
          },
        ],
      },
    ]);
  },
  listeners: () =>
    Promise.resolve([
      {
        name: "main",
        addresses: [
          { address: "127.0.0.1", port: 80 },
          { address: "::1", port: 80 },
        ],
      },
    ]),
  dns: () =>
    answering
      ? {
          table: { "a.example.com": { ips: ["240.240.0.1"] }, "b.example.com": { ips: ["240.240.0.2"] } },
          ports: { "a.example.com": [{ name: "http", protocol: "tcp", port: 80 }], "b.example.com": [] },
          listener: { hosts: ["127.0.0.1"], port: 15053, batching: true },
          names: 4,
          search: ["corp.example"],
          answers: { ttlS: 30 },
          upstream: { servers: [], settings: {}, cache: undefined },
        }
      : undefined,
  explain: async (question) =>
    question.target === undefined ? { problem: "nothing is asked" } : { explanation: question, text: `asked ${question.target}\n` },
  logLevel: () => level,
  setLogLevel: (next) => void (level = next),
  reopenLogs: () => void calls.push("reopen"),
  failHealthChecks: (failing) => void calls.push(`failHealthChecks ${failing}`),
  drainListeners: (options) => void calls.push(`drain ${JSON.stringify(options)}`),
  quit: () => void calls.push("quit"),
};

async function ask(
  path: string,
  method = "GET",
  headers: Record<string, string> = {},
): Promise<{ status: number; type: string; body: string }> {
  const response = await fetch(`http://127.0.0.1:${server.address.port}${path}`, { method, headers });
  return { status: response.status, type: response.headers.get("content-type") ?? "", body: await response.text() };
}

before(async () => {
  server = await startAdminServer({ address: "127.0.0.1", port: 0 }, context, quiet);
  slab.root.counter("cluster.a.upstream_rq_2xx").add(2);
  slab.root.gauge("server.live").set(1);
  slab.root.counter("unused");
  slab.flush();
});
after(() => server.close());

suite("admin", () => {
  test.beforeEach(() => {
    calls = [];
    level = "info";
    state = "LIVE";
    broken = false;
    answering = true;
  });

  test("/ready says whether the server is live", async () => {
    assert.deepEqual(await ask("/ready"), { status: 200, type: "text/plain; charset=UTF-8", body: "LIVE\n" });
    state = "DRAINING";
    assert.deepEqual([(await ask("/ready")).status, (await ask("/ready")).body], [503, "DRAINING\n"]);
  });

  test("/stats in every format and selection", async () => {
    assert.equal((await ask("/stats")).body, "cluster.a.upstream_rq_2xx: 2\nserver.live: 1\nunused: 0\n");
    assert.equal((await ask("/stats?usedonly&filter=^clus")).body, "cluster.a.upstream_rq_2xx: 2\n");
    assert.equal((await ask("/stats?type=Gauges")).body, "server.live: 1\n");
    const json = await ask("/stats?format=json&filter=live");
    assert.deepEqual([json.type, JSON.parse(json.body)], ["application/json", { stats: [{ name: "server.live", value: 1 }] }]);
    const line = 'envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="a"} 2';
    assert.ok((await ask("/stats/prometheus")).body.includes(line));
    assert.ok((await ask("/stats?format=prometheus&usedonly")).body.includes(line));
    assert.equal((await ask("/stats?filter=(")).status, 400);
    assert.equal((await ask("/stats?format=xml")).status, 400);
    assert.equal((await ask("/stats?type=toString")).status, 400);
  });

  test("/clusters as text and JSON", async () => {
    const { body } = await ask("/clusters");
    for (const line of [
      "a::observability_name::a",
      "a::default_priority::max_retries::3",
      "a::added_via_api::false",
      "a::127.0.0.1:9::rq_active::4",
      "a::127.0.0.1:9::cx_total::6",
      "a::127.0.0.1:9::health_flags::/failed_outlier_check",
      "a::127.0.0.1:9::region::r1",
    ]) {
      assert.ok(body.split("\n").includes(line), line);
    }
    const { cluster_statuses: statuses } = JSON.parse((await ask("/clusters?format=json")).body) as {
      cluster_statuses: { host_statuses: { address: unknown; health_status: unknown }[] }[];
    };
    assert.deepEqual(statuses[0]?.host_statuses[0]?.health_status, { failed_outlier_check: true, eds_health_status: "HEALTHY" });
    assert.deepEqual(statuses[0]?.host_statuses[0]?.address, { socket_address: { address: "127.0.0.1", port_value: 9 } });
  });

  test("/debug/ndsz is the name table with the state of the responder, or one host of it", async () => {
    const { status, type, body } = await ask("/debug/ndsz");
    const view = JSON.parse(body) as { table: object; names: number };
    assert.deepEqual([status, type, Object.keys(view.table), view.names], [200, "application/json", ["a.example.com", "b.example.com"], 4]);
    for (const [host, table] of [
      ["B.example.com", { "b.example.com": { ips: ["240.240.0.2"] } }],
      ["toString", {}],
    ] as const) {
      const one = JSON.parse((await ask(`/debug/ndsz?host=${host}`)).body) as { table: object; ports: object };
      assert.deepEqual([one.table, Object.keys(one.ports)], [table, Object.keys(table)]);
    }
    answering = false;
    assert.equal((await ask("/debug/ndsz")).status, 404);
  });

  test("/explain takes a question apart and gives the answer as text or JSON", async () => {
    const query = "url=http%3A%2F%2Fbooks%2F&method=PUT&header=a%3A%201&header=b%3A%202&tcp";
    assert.deepEqual(await ask(`/explain?${query}`), { status: 200, type: "text/plain; charset=UTF-8", body: "asked http://books/\n" });
    assert.deepEqual(JSON.parse((await ask(`/explain?${query}&format=json`)).body), {
      method: "PUT",
      target: "http://books/",
      headers: ["a: 1", "b: 2"],
      tcp: true,
    });
    const refused = await ask("/explain");
    assert.deepEqual([refused.status, refused.body], [400, "nothing is asked\n"]);
  });

  test("/listeners as text and JSON", async () => {
    assert.equal((await ask("/listeners")).body, "main::127.0.0.1:80\nmain::[::1]:80\n");
    assert.deepEqual(JSON.parse((await ask("/listeners?format=json")).body), {
      listener_statuses: [
        {
          name: "main",
          local_address: { socket_address: { address: "127.0.0.1", port_value: 80 } },
          additional_local_addresses: [{ socket_address: { address: "::1", port_value: 80 } }],
        },
      ],
    });
  });

  test("/config_dump shows the configuration and never a secret", async () => {
    const { body } = await ask("/config_dump?include_eds");
    for (const secret of ["c2VjcmV0", "hunter2", "k1", "k2", "k3"]) assert.ok(!body.includes(secret), secret);
    const dump = JSON.parse(body) as { configs: { "@type": string }[]; not_honoured: unknown[] };
    assert.deepEqual(
      dump.configs.map((config) => config["@type"].split(".").at(-1)),
      ["BootstrapConfigDump", "ClustersConfigDump", "EndpointsConfigDump", "ListenersConfigDump", "RoutesConfigDump", "SecretsConfigDump"],
    );
    assert.deepEqual(dump.not_honoured, [{ severity: "warning", text: "f.yaml:1:2 a.b: not honoured" }]);
    const some = JSON.parse((await ask("/config_dump?resource=static_clusters&name_regex=^a$")).body) as {
      configs: { cluster: { name: string } }[];
    };
    assert.deepEqual(
      some.configs.map(({ cluster }) => cluster.name),
      ["a"],
    );
    assert.equal((await ask("/config_dump?resource=toString")).status, 400);
    assert.equal((await ask("/config_dump?name_regex=(")).status, 400);
  });

  test("/server_info, /certs, /help and /", async () => {
    const info = JSON.parse((await ask("/server_info")).body) as Record<string, unknown>;
    assert.deepEqual([info["state"], info["uptime_current_epoch"], info["command_line_options"]], ["LIVE", "3s", { concurrency: 2 }]);
    assert.deepEqual(info["node"], {
      id: "n",
      cluster: "c",
      metadata: { NETWORK: "net" },
      locality: { region: "r", zone: "", sub_zone: "s" },
    });
    assert.deepEqual(JSON.parse((await ask("/certs")).body), { certificates: [{ ca_cert: [], cert_chain: [] }] });
    assert.match(
      (await ask("/help")).body,
      /^admin commands are:\n {2}\/: Admin home page\n[^]* {2}\/quitquitquit \(POST\): exit the server\n/,
    );
    assert.match((await ask("/")).type, /^text\/html/);
  });

  test("what changes state wants POST", async () => {
    for (const path of [
      "/quitquitquit",
      "/drain_listeners",
      "/healthcheck/fail",
      "/healthcheck/ok",
      "/reset_counters",
      "/logging",
      "/reopen_logs",
    ]) {
      assert.deepEqual(await ask(path), { status: 405, type: "text/plain; charset=UTF-8", body: "Method GET not allowed, POST required." });
    }
    assert.deepEqual(calls, []);
    assert.equal((await ask("/quitquitquit", "POST")).body, "OK\n");
    assert.equal((await ask("/drain_listeners?graceful&inboundonly", "POST")).body, "OK\n");
    assert.equal((await ask("/reopen_logs", "POST")).body, "OK\n");
    assert.deepEqual(calls, ["quit", 'drain {"graceful":true,"inboundOnly":true}', "reopen"]);
  });

  test("a form on another site cannot change state", async () => {
    assert.equal((await ask("/quitquitquit", "POST", { "sec-fetch-site": "cross-site" })).status, 403);
    assert.deepEqual(calls, []);
  });

  test("/logging changes the level, or says which there are", async () => {
    assert.equal((await ask("/logging?level=debug", "POST")).body, "active loggers:\n  isthmus: debug\n");
    assert.equal((await ask("/logging?level=warn", "POST")).body, "active loggers:\n  isthmus: warning\n");
    assert.equal((await ask("/logging?level=loud", "POST")).status, 400);
    assert.equal(level, "warning");
  });

  test("/reset_counters starts counters from zero", async () => {
    await ask("/reset_counters", "POST");
    assert.equal((await ask("/stats?filter=2xx|live")).body, "cluster.a.upstream_rq_2xx: 0\nserver.live: 1\n");
  });

  test("an unknown path gets 404 with what there is", async () => {
    const { status, body } = await ask("/nope");
    assert.equal(status, 404);
    assert.match(body, /^invalid path\. admin commands are:\n/);
  });

  test("a request that fails gets 500, and the next is served", async () => {
    broken = true;
    assert.equal((await ask("/clusters")).status, 500);
    broken = false;
    assert.equal((await ask("/clusters")).status, 200);
  });

  test("bytes that are no request are answered by closing", async () => {
    const socket = connect(server.address.port, "127.0.0.1");
    await new Promise<void>((resolve) => {
      socket.on("error", () => undefined).on("close", () => resolve());
      socket.resume().end("\x16\x03\x01 nonsense\r\n\r\n");
    });
    assert.equal((await ask("/ready")).status, 200);
  });
});
