// The TCP proxy behind a listener: relays, refusals and their shapes on the wire, flags, stats.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import { after, before, suite, test } from "node:test";
import { connect as tlsConnect, createServer as createTlsServer } from "node:tls";
import { CircuitBreakers } from "../../src/upstream/circuit-breakers.ts";
import { startSpliceRelay } from "../../src/net/relay/splice-relay.ts";
import type { SpliceRelay } from "../../src/net/relay/splice-relay.ts";
import { makeCa } from "../support/certs.ts";
import { cluster, staticCluster } from "../support/cluster-models.ts";
import { startL4Proxy, summary, until } from "../support/l4-proxy.ts";
import { filterChain, filterConfig, listener, tcpProxyFilter } from "../support/listener-models.ts";
import { client, closedPort, echo, serve } from "../support/tcp.ts";
import { recordingLogger } from "../support/tls-models.ts";

let splice: SpliceRelay | undefined;
before(async () => {
  splice = startSpliceRelay({ logger: recordingLogger() });
  await splice?.started;
});
after(() => splice?.close());

for (const kind of ["portable", "spliced"] as const) {
  suite(`tcp_proxy, ${kind}`, () => {
    const relay = (): { splice: SpliceRelay | undefined } => ({ splice: kind === "spliced" ? splice : undefined });

    test("relays with half close, logs once for itself and once for the listener", async (t) => {
      const upstream = await serve(t, echo);
      const proxy = startL4Proxy(t, [staticCluster("up", [`127.0.0.1:${upstream.port}`])], relay());
      await proxy.apply(listener("l", [filterChain([tcpProxyFilter("up")])]));
      const c = client(t, proxy.port("l"), "ping");
      await c.saw(/ping/);
      assert.deepEqual(
        ["tcp.t.downstream_cx_active", "cluster.up.upstream_cx_active", "listener.l.downstream_cx_active"].map((name) =>
          proxy.stats.value(name),
        ),
        [1, 1, 1],
      );
      c.socket.end();
      assert.deepEqual(await c.ended, { received: "pingbye", ended: "FIN" });
      const records = await proxy.records(2);
      assert.deepEqual(records.map(summary), ["- - up 4/7", "- - up 4/7"]);
      assert.equal(records[0]?.upstreamHost, `127.0.0.1:${upstream.port}`);
      for (const [name, value] of Object.entries({
        "tcp.t.downstream_cx_total": 1,
        "tcp.t.downstream_cx_active": 0,
        "tcp.t.downstream_cx_rx_bytes_total": 4,
        "tcp.t.downstream_cx_tx_bytes_total": 7,
        "cluster.up.upstream_cx_total": 1,
        "cluster.up.upstream_cx_active": 0,
        "cluster.up.upstream_cx_destroy": 1,
        "cluster.up.upstream_cx_tx_bytes_total": 4,
        "cluster.up.upstream_cx_rx_bytes_total": 7,
        "listener.l.downstream_cx_total": 1,
        "listener.l.downstream_cx_active": 0,
        "listener.l.downstream_cx_destroy": 1,
      })) {
        assert.equal(proxy.stats.value(name), value, name);
      }
      assert.equal(proxy.clusters.get("up")?.resources.default.connections.count, 0);
      assert.equal(proxy.clusters.get("up")?.hosts()[0]?.activeRequests, 0);
    });

    test("an idle connection ends with FIN and is counted", async (t) => {
      const upstream = await serve(t, echo);
      const proxy = startL4Proxy(t, [staticCluster("up", [`127.0.0.1:${upstream.port}`])], relay());
      await proxy.apply(listener("l", [filterChain([tcpProxyFilter("up", { idleTimeoutMs: 40 })])]));
      assert.deepEqual(await client(t, proxy.port("l"), "ping").ended, { received: "ping", ended: "FIN" });
      assert.equal(summary((await proxy.records(1))[0]!), "- - up 4/4");
      assert.equal(proxy.stats.value("tcp.t.idle_timeout"), 1);
    });

    test("the longest connection duration ends a busy connection with DT", async (t) => {
      const upstream = await serve(t, echo);
      const proxy = startL4Proxy(t, [staticCluster("up", [`127.0.0.1:${upstream.port}`])], relay());
      await proxy.apply(listener("l", [filterChain([tcpProxyFilter("up", { maxDownstreamConnectionDurationMs: 60 })])]));
      assert.equal((await client(t, proxy.port("l"), "ping").ended).received, "ping");
      assert.equal(summary((await proxy.records(1))[0]!), "DT max_connection_duration_reached up 4/4");
      assert.equal(proxy.stats.value("tcp.t.max_downstream_connection_duration"), 1);
    });

    test("SNI passthrough: the client's TLS reaches the server that its name chose, untouched", async (t) => {
      const ca = makeCa();
      const servers = ["a", "b"].map((name) => {
        const issued = ca.issue({ dns: [`${name}.test`] });
        const server = createTlsServer({ cert: issued.cert, key: issued.key, ALPNProtocols: ["http/1.1"] }, (socket) => {
          socket.on("error", () => socket.destroy());
          socket.end(`${name} ${String((socket as unknown as { servername: string }).servername)} ${String(socket.alpnProtocol)}`);
        });
        t.after(() => server.close());
        return server.listen(0, "127.0.0.1");
      });
      await Promise.all(servers.map((server) => once(server, "listening")));
      const names = ["outbound_.80_._.a.test", "outbound_.80_._.b.test"];
      const clusters = servers.map((server, i) => staticCluster(names[i]!, [`127.0.0.1:${(server.address() as AddressInfo).port}`]));
      const proxy = startL4Proxy(t, clusters, relay());
      await proxy.apply(
        listener(
          "gw",
          [
            filterChain([filterConfig("envoy.filters.network.sni_cluster"), tcpProxyFilter("BlackHoleCluster")], {
              serverNames: ["*.test"],
            }),
          ],
          {
            listenerFilters: [filterConfig("envoy.filters.listener.tls_inspector")],
          },
        ),
      );
      for (const [i, name] of names.entries()) {
        const socket = tlsConnect({
          port: proxy.port("gw"),
          host: "127.0.0.1",
          servername: name,
          rejectUnauthorized: false,
          ALPNProtocols: ["http/1.1"],
        });
        t.after(() => socket.destroy());
        let received = "";
        socket.on("data", (chunk) => (received += chunk.toString()));
        await once(socket, "end");
        assert.equal(received, `${i === 0 ? "a" : "b"} ${name} http/1.1`);
        socket.destroy();
      }
      const [first] = await proxy.records(4);
      assert.equal(first?.connection.serverName, names[0]);
      assert.equal(first?.upstreamCluster, names[0]);
    });
  });
}

suite("tcp_proxy without an upstream", () => {
  const shapes: readonly {
    readonly title: string;
    readonly cluster: (refused: number) => string;
    readonly flags: string;
    readonly stat: string;
  }[] = [
    { title: "refused", cluster: () => "refused", flags: "URX,UF - refused 0/0", stat: "cluster.refused.upstream_cx_connect_fail" },
    { title: "no endpoints", cluster: () => "none", flags: "UH - none 0/0", stat: "cluster.none.upstream_cx_none_healthy" },
    { title: "unknown cluster", cluster: () => "missing", flags: "NC - - 0/0", stat: "tcp.t.downstream_cx_no_route" },
  ];
  for (const { title, cluster: clusterOf, flags, stat } of shapes) {
    for (const [sent, ended] of [
      ["ping", "ECONNRESET"],
      ["", "FIN"],
    ] as const) {
      test(`${title}: ${ended === "FIN" ? "FIN when nothing was sent" : "RST when bytes were sent"}`, async (t) => {
        const port = await closedPort();
        const proxy = startL4Proxy(t, [staticCluster("refused", [`127.0.0.1:${port}`]), cluster("none")]);
        // The HTTP inspector holds the connection until the bytes are there, so that the outcome does not hang on timing.
        const inspect = sent === "" ? [] : [filterConfig("envoy.filters.listener.http_inspector")];
        await proxy.apply(listener("l", [filterChain([tcpProxyFilter(clusterOf(port))])], { listenerFilters: inspect }));
        assert.deepEqual(await client(t, proxy.port("l"), sent).ended, { received: "", ended });
        assert.equal(summary((await proxy.records(1))[0]!), flags);
        assert.equal(proxy.stats.value(stat), 1);
      });
    }
  }

  test("names the reason of a refused connect as Envoy does", async (t) => {
    const proxy = startL4Proxy(t, [staticCluster("refused", [`127.0.0.1:${await closedPort()}`])]);
    await proxy.apply(listener("l", [filterChain([tcpProxyFilter("refused")])]));
    await client(t, proxy.port("l")).ended;
    assert.equal((await proxy.records(1))[0]?.upstreamTransportFailureReason, "delayed connect error: Connection refused");
  });

  test("tries again up to max_connect_attempts, with another host", async (t) => {
    const upstream = await serve(t, echo);
    const addresses = [`127.0.0.1:${await closedPort()}`, `127.0.0.1:${upstream.port}`];
    const proxy = startL4Proxy(t, [staticCluster("mixed", addresses)]);
    await proxy.apply(listener("l", [filterChain([tcpProxyFilter("mixed", { maxConnectAttempts: 2 })])]));
    for (let i = 0; i < 4; i++) {
      const c = client(t, proxy.port("l"), "ping");
      await c.saw(/ping/);
      c.socket.end();
      assert.equal((await c.ended).received, "pingbye");
    }
    assert.ok((proxy.stats.value("cluster.mixed.upstream_cx_connect_fail") ?? 0) > 0, "no attempt failed");
  });

  test("the circuit breaker refuses connections beyond its limit, and takes them again after", async (t) => {
    const upstream = await serve(t, echo);
    const limits = { maxConnections: 1, maxPendingRequests: 1, maxRequests: 1, maxRetries: 1 };
    const proxy = startL4Proxy(t, [
      staticCluster("up", [`127.0.0.1:${upstream.port}`], { circuitBreakers: { default: limits, high: limits } }),
    ]);
    await proxy.apply(listener("l", [filterChain([tcpProxyFilter("up")])], { accessLog: [] }));
    const first = client(t, proxy.port("l"), "ping");
    await first.saw(/ping/);
    assert.equal((await client(t, proxy.port("l")).ended).ended, "FIN");
    assert.equal(summary((await proxy.records(1))[0]!), "UO - up 0/0");
    assert.equal(proxy.stats.value("cluster.up.upstream_cx_overflow"), 1);
    first.socket.end();
    await first.ended;
    await proxy.records(2);
    const third = client(t, proxy.port("l"), "pong");
    await third.saw(/pong/);
  });

  test("a client that resets while upstream is dialled is noticed before the connect ends", async (t) => {
    // A server whose accept queue is full answers no SYN: the connect hangs.
    const proxy = startL4Proxy(t, [staticCluster("hanging", ["192.0.2.1:9"], { connectTimeoutMs: 60_000 })], {
      options: { clusters: { get: () => hangingCluster() } },
    });
    await proxy.apply(listener("l", [filterChain([tcpProxyFilter("hanging")])], { accessLog: [] }));
    const socket = connect({ port: proxy.port("l"), host: "127.0.0.1" });
    socket.on("error", () => {});
    await until(() => dialled > 0);
    socket.resetAndDestroy();
    assert.equal(summary((await proxy.records(1))[0]!), "DC - hanging 0/0");
    assert.equal(cancelled, 1);
  });

  let dialled = 0;
  let cancelled = 0;
  function hangingCluster(): never {
    const breakers = new CircuitBreakers(cluster("hanging").circuitBreakers.default);
    const counter = { inc: () => {}, dec: () => {}, add: () => {} };
    const host = {
      addressText: "192.0.2.1:9",
      activeRequests: 0,
      dial: () => {
        dialled++;
        return { cancel: () => void cancelled++ };
      },
    };
    const stats = new Proxy({}, { get: () => counter });
    return {
      name: "hanging",
      model: cluster("hanging"),
      stats,
      resources: { default: breakers, high: breakers },
      pick: () => host,
      hosts: () => [],
    } as never;
  }

  test("weighted clusters share connections by weight", async (t) => {
    const counts = { a: 0, b: 0 };
    const servers = await Promise.all((["a", "b"] as const).map((name) => serve(t, (socket) => socket.end(String(++counts[name])))));
    const proxy = startL4Proxy(
      t,
      servers.map(({ port }, i) => staticCluster(i === 0 ? "a" : "b", [`127.0.0.1:${port}`])),
    );
    const target = {
      kind: "weighted",
      clusters: [
        { name: "a", weight: 3 },
        { name: "b", weight: 1 },
      ],
      totalWeight: 4,
    } as const;
    await proxy.apply(listener("l", [filterChain([tcpProxyFilter("unused", { target })])]));
    for (let i = 0; i < 80; i++) await client(t, proxy.port("l")).ended;
    assert.equal(counts.a + counts.b, 80);
    assert.ok(counts.b > 8 && counts.b < 35, `b got ${counts.b} of 80`);
  });
});
