// Outlier detection over real sockets: who gets traffic while a host is ejected, and what counts against a host.
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { bootstrap, cluster, httpListener, startTestProxy, type TestProxy } from "../../support/proxy.ts";
import { outlierDetection } from "../../support/outlier-models.ts";
import { connectRaw, hasResponses, listenHttp, reply, type OriginRequest } from "../../support/raw-http.ts";
import { cluster as clusterModel, assignment, endpoint, group } from "../../support/cluster-models.ts";
import { startL4Proxy, until } from "../../support/l4-proxy.ts";
import { filterChain, listener, tcpProxyFilter } from "../../support/listener-models.ts";
import { client, closedPort, serve } from "../../support/tcp.ts";

interface Origin {
  readonly port: number;
  readonly requests: number;
}

async function origin(t: TestContext, respond: (request: OriginRequest) => void): Promise<Origin> {
  let requests = 0;
  const server = await listenHttp((request) => {
    requests++;
    respond(request);
  });
  t.after(() => server.close());
  return {
    port: server.port,
    get requests() {
      return requests;
    },
  };
}

const ok = ({ socket }: OriginRequest): void => reply(socket, "fine");
const unavailable = ({ socket }: OriginRequest): void => reply(socket, "broken", "503 Service Unavailable");

/** Cluster `origin` with a list of ports a priority. */
function prioritised(ports: readonly (readonly number[])[], detection: object, more: object = {}): object {
  return cluster("origin", 0, {
    outlier_detection: { max_ejection_percent: 100, ...detection },
    load_assignment: {
      cluster_name: "origin",
      endpoints: ports.map((members, priority) => ({
        priority,
        lb_endpoints: members.map((port) => ({
          endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } },
        })),
      })),
    },
    ...more,
  });
}

/** Sends requests one after the other and answers with each one's status. */
async function statuses(proxy: TestProxy, count: number, fields = ""): Promise<string[]> {
  const connection = await connectRaw(proxy.port("main"));
  const get = `GET / HTTP/1.1\r\nHost: lab\r\n${fields}\r\n`;
  for (let done = 0; done < count; done++) {
    connection.socket.write(get);
    await connection.until(hasResponses(done + 1));
  }
  connection.socket.destroy();
  return [...connection.received.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => match[1] ?? "");
}

/** A worker's new instruments become known to the main thread a moment later. */
const reaches = (proxy: TestProxy, name: string, value: number): Promise<void> =>
  until(() => proxy.stat(`cluster.origin.outlier_detection.${name}`) === value);

/** Two origins that answer, beside one that says 503. */
async function oneBadOfThree(t: TestContext, ejectionTime: string): Promise<{ readonly bad: Origin; readonly proxy: TestProxy }> {
  const bad = await origin(t, unavailable);
  const good = [await origin(t, ok), await origin(t, ok)];
  const origins = prioritised([[bad.port, ...good.map(({ port }) => port)]], { interval: "0.1s", base_ejection_time: ejectionTime });
  return { bad, proxy: await startTestProxy(t, bootstrap([httpListener("main")], [origins])) };
}

test("one of three origins answers 503 five times and gets nothing while it is ejected", async (t) => {
  const { bad, proxy } = await oneBadOfThree(t, "60s");
  while (bad.requests < 5) await statuses(proxy, 1);
  await reaches(proxy, "ejections_active", 1);
  await reaches(proxy, "ejections_enforced_consecutive_5xx", 1);
  assert.deepEqual(
    await statuses(proxy, 12),
    Array.from({ length: 12 }, () => "200"),
  );
  assert.equal(bad.requests, 5);
});

test("an ejected origin gets requests again when its time has passed, and not before", async (t) => {
  const { bad, proxy } = await oneBadOfThree(t, "0.8s");
  let beforeFifth = 0;
  while (bad.requests < 5) {
    beforeFifth = performance.now();
    await statuses(proxy, 1);
  }
  while (bad.requests === 5) await statuses(proxy, 1);
  assert.ok(performance.now() - beforeFifth >= 800, "not before the ejection time has passed");
  await reaches(proxy, "ejections_active", 0);
});

test("with every host ejected and no panic there is no healthy upstream", async (t) => {
  const bad = await origin(t, unavailable);
  const origins = prioritised([[bad.port]], { consecutive_5xx: 1 }, { common_lb_config: { healthy_panic_threshold: { value: 0 } } });
  const proxy = await startTestProxy(t, bootstrap([httpListener("main")], [origins]));
  assert.deepEqual(await statuses(proxy, 2), ["503", "503"]);
  assert.equal(bad.requests, 1);
  const [first, second] = await proxy.accessLog(2);
  assert.deepEqual([first?.["flags"], first?.["details"]], ["-", "via_upstream"]);
  assert.deepEqual([second?.["flags"], second?.["details"]], ["UH", "no_healthy_upstream"]);
});

for (const [title, ejectionTime] of [
  ["the next priority takes over", "60s"],
  ["the next priority gives back when its time has passed", "0.2s"],
] as const) {
  test(`the local priority's only host ejected: ${title}`, async (t) => {
    let broken = true;
    const local = await origin(t, (request) => (broken ? unavailable(request) : ok(request)));
    const remote = await origin(t, ok);
    const detection = { consecutive_5xx: 2, interval: "0.1s", base_ejection_time: ejectionTime };
    const proxy = await startTestProxy(t, bootstrap([httpListener("main")], [prioritised([[local.port], [remote.port]], detection)]));
    assert.deepEqual(await statuses(proxy, 2), ["503", "503"]);
    broken = false;
    if (ejectionTime === "60s") {
      assert.deepEqual(await statuses(proxy, 4), ["200", "200", "200", "200"]);
      assert.deepEqual([local.requests, remote.requests], [2, 4]);
    } else while (local.requests === 2) assert.deepEqual(await statuses(proxy, 1), ["200"]);
  });
}

const silent = (): void => undefined;
const hangUp = ({ socket }: OriginRequest): void => void socket.destroy();
const grpcFailure = ({ socket }: OriginRequest): void => reply(socket, "", "200 OK", "grpc-status: 14\r\n");

// What the first priority does -> the status of a request to it, and why it is ejected without and with origins told apart.
for (const [title, respond, status, together, apart] of [
  ["refused connections", undefined, "503", "consecutive_gateway_failure", "consecutive_local_origin_failure"],
  ["timeouts", silent, "504", "consecutive_gateway_failure", "consecutive_local_origin_failure"],
  ["connections broken off", hangUp, "503", "consecutive_gateway_failure", "consecutive_local_origin_failure"],
  ["500s", ({ socket }: OriginRequest) => reply(socket, "", "500 Oh"), "500", "consecutive_5xx", "consecutive_5xx"],
] as const) {
  for (const split of [false, true]) {
    const kind = split ? apart : together;
    test(`failover after ${title}${split ? ", origins told apart" : ""}`, async (t) => {
      const port = respond === undefined ? await closedPort() : (await origin(t, respond)).port;
      const remote = await origin(t, ok);
      const origins = prioritised([[port], [remote.port]], {
        consecutive_5xx: 2,
        consecutive_gateway_failure: 2,
        enforcing_consecutive_gateway_failure: 100,
        // One, because each new connection ends a row of local failures.
        consecutive_local_origin_failure: 1,
        split_external_local_origin_errors: split,
      });
      // Long enough for the other origin on a busy machine.
      const routes = [{ match: { prefix: "/" }, route: { cluster: "origin", timeout: respond === silent ? "1s" : "30s" } }];
      const proxy = await startTestProxy(t, bootstrap([httpListener("main", { routes })], [origins]));
      const local = split && kind !== "consecutive_5xx";
      assert.deepEqual(await statuses(proxy, 3), local ? [status, "200", "200"] : [status, status, "200"]);
      await reaches(proxy, `ejections_enforced_${kind}`, 1);
      await reaches(proxy, "ejections_enforced_total", 1);
    });
  }
}

test("a gRPC failure in the response headers counts as what it stands for, a plain response's does not", async (t) => {
  const local = await origin(t, grpcFailure);
  const remote = await origin(t, ok);
  const proxy = await startTestProxy(
    t,
    bootstrap([httpListener("main")], [prioritised([[local.port], [remote.port]], { consecutive_5xx: 2 })]),
  );
  await statuses(proxy, 3);
  assert.deepEqual([local.requests, remote.requests], [3, 0]);
  await statuses(proxy, 3, "Content-Type: application/grpc\r\n");
  assert.deepEqual([local.requests, remote.requests], [5, 1]);
});

test("a full circuit breaker says nothing of the host", async (t) => {
  const only = await origin(t, ok);
  const origins = prioritised(
    [[only.port]],
    { consecutive_5xx: 1 },
    { circuit_breakers: { thresholds: [{ max_pending_requests: 0 }] }, common_lb_config: { healthy_panic_threshold: { value: 0 } } },
  );
  const proxy = await startTestProxy(t, bootstrap([httpListener("main")], [origins]));
  assert.deepEqual(await statuses(proxy, 2), ["503", "503"]);
  const records = await proxy.accessLog(2);
  assert.deepEqual(
    records.map((record) => record["flags"]),
    ["UO", "UO"],
  );
});

for (const split of [false, true]) {
  test(`TCP: connects that fail${split ? ", told apart," : ""} eject a host, one that works ends the row`, async (t) => {
    const remote = await serve(t, (socket) => socket.end("remote"));
    const local = await serve(t, (socket) => socket.end("local"));
    const at = (port: number): string => `127.0.0.1:${port}`;
    const detection = outlierDetection({ consecutive5xx: 2, consecutiveLocalOriginFailure: 2, splitExternalLocalOriginErrors: split });
    const loadAssignment = assignment("up", [group([endpoint(at(local.port))]), group([endpoint(at(remote.port))], { priority: 1 })]);
    const proxy = startL4Proxy(t, [clusterModel("up", { outlierDetection: detection, loadAssignment })]);
    await proxy.apply(listener("l", [filterChain([tcpProxyFilter("up")])]));
    const talk = async (): Promise<string> => (await client(t, proxy.port("l")).ended).received;
    const host = proxy.clusters.get("up")?.hosts()[0];
    host?.onResult("connect_failed");
    assert.equal(await talk(), "local");
    await new Promise((resolve) => local.server.close(resolve));
    assert.equal(await talk(), "");
    assert.equal(host?.healthy, true);
    assert.equal(await talk(), "");
    await until(() => host?.healthy === false);
    assert.equal(await talk(), "remote");
    const kind = split ? "consecutive_local_origin_failure" : "consecutive_5xx";
    assert.equal(proxy.stats.value(`cluster.up.outlier_detection.ejections_enforced_${kind}`), 1);
  });
}

test("an answer that breaks off counts against its host, the end of a tunnel does not", async (t) => {
  const half = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
  const upgrade = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
  const local = await origin(t, ({ line, socket }) => {
    if (!line.includes("/tunnel")) return socket.end(half);
    socket.write(upgrade);
    return socket.once("data", () => socket.resetAndDestroy());
  });
  const remote = await origin(t, ok);
  const main = httpListener("main", { manager: { upgrade_configs: [{ upgrade_type: "websocket" }] } });
  const proxy = await startTestProxy(t, bootstrap([main], [prioritised([[local.port], [remote.port]], { consecutive_5xx: 1 })]));
  const ask = async (path: string, fields: string): Promise<void> => {
    const connection = await connectRaw(proxy.port("main"));
    connection.socket.write(`GET ${path} HTTP/1.1\r\nHost: lab\r\n${fields}\r\n`);
    await connection.until((text) => text.includes("\r\n\r\n"));
    connection.socket.write("x");
    await connection.ended;
    connection.socket.destroy();
  };
  for (let i = 0; i < 3; i++) await ask("/tunnel", "Connection: upgrade\r\nUpgrade: websocket\r\n");
  assert.equal(local.requests, 3);
  await ask("/", "");
  assert.equal(local.requests, 4);
  assert.deepEqual(await statuses(proxy, 1), ["200"]);
  assert.deepEqual([local.requests, remote.requests], [4, 1]);
});
