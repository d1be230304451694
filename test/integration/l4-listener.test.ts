// Listeners on real sockets: chains, inspection, shapes of a close, updates that keep connections, binding.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { suite, test } from "node:test";
import { connect as tlsConnect } from "node:tls";
import type { ListenerFilterSpec } from "../../src/filter/filter.ts";
import { listenerFilters } from "../../src/filter/registry.ts";
import { makeCa } from "../support/certs.ts";
import { captureClientHello, extension, helloMessage, records } from "../support/client-hello.ts";
import { removing, staticCluster } from "../support/cluster-models.ts";
import { startL4Proxy, summary, until } from "../support/l4-proxy.ts";
import { filterChain, filterConfig, listener, tcpProxyFilter } from "../support/listener-models.ts";
import { client, closedPort, echo, serve } from "../support/tcp.ts";
import { commonTls, downstreamTls } from "../support/tls-models.ts";

const tlsInspector = filterConfig("envoy.filters.listener.tls_inspector");
const proxyProtocol = filterConfig("envoy.filters.listener.proxy_protocol", {
  allowRequestsWithoutProxyProtocol: false,
  disallowedVersions: [],
  statPrefix: "",
});

suite("connections that no chain takes", () => {
  test("an unknown server name is reset right after the hello, with NR", async (t) => {
    const proxy = startL4Proxy(t, []);
    await proxy.apply(
      listener("l", [filterChain([tcpProxyFilter("x")], { serverNames: ["a.test"] })], { listenerFilters: [tlsInspector] }),
    );
    const hello = await captureClientHello({ servername: "z.test" });
    const c = client(t, proxy.port("l"));
    c.socket.write(hello);
    assert.deepEqual(await c.ended, { received: "", ended: "ECONNRESET" });
    const [record] = await proxy.records(1);
    assert.equal(summary(record!), "NR filter_chain_not_found - 0/0");
    assert.equal(record?.connection.serverName, "z.test");
    assert.deepEqual(
      ["no_filter_chain_match", "downstream_cx_total", "downstream_pre_cx_active"].map((name) => proxy.stats.value(`listener.l.${name}`)),
      [1, 0, 0],
    );
  });

  test("a client that has sent nothing gets FIN", async (t) => {
    const proxy = startL4Proxy(t, []);
    await proxy.apply(listener("l", [filterChain([tcpProxyFilter("x")], { destinationPort: 1 })]));
    assert.deepEqual(await client(t, proxy.port("l")).ended, { received: "", ended: "FIN" });
    assert.equal(summary((await proxy.records(1))[0]!), "NR filter_chain_not_found - 0/0");
  });

  test("the default chain takes what no other does", async (t) => {
    const upstream = await serve(t, (socket) => socket.end("default"));
    const proxy = startL4Proxy(t, [staticCluster("up", [`127.0.0.1:${upstream.port}`])]);
    await proxy.apply(
      listener("l", [filterChain([tcpProxyFilter("x")], { destinationPort: 1 })], {
        defaultFilterChain: filterChain([tcpProxyFilter("up")]),
      }),
    );
    assert.equal((await client(t, proxy.port("l")).ended).received, "default");
  });
});

suite("listener filters on a connection", () => {
  for (const [title, sent, ended] of [
    ["with nothing sent ends with FIN", "", "FIN"],
    ["in the middle of a hello ends with RST", "\u0016\u0003\u0001\u0002\u0000", "ECONNRESET"],
  ] as const) {
    test(`a timeout ${title}`, async (t) => {
      const proxy = startL4Proxy(t, []);
      const over = { listenerFilters: [tlsInspector], listenerFiltersTimeoutMs: 50 };
      await proxy.apply(listener("l", [filterChain([tcpProxyFilter("x")])], over));
      const started = performance.now();
      assert.deepEqual(await client(t, proxy.port("l"), sent).ended, { received: "", ended });
      assert.ok(performance.now() - started >= 45);
      assert.equal(summary((await proxy.records(1))[0]!), "- - - 0/0");
      assert.equal(proxy.stats.value("listener.l.downstream_pre_cx_timeout"), 1);
    });
  }

  test("a timeout with continue_on_listener_filters_timeout serves a server-first protocol", async (t) => {
    const upstream = await serve(t, (socket) => socket.write("220 hello\r\n"));
    const proxy = startL4Proxy(t, [staticCluster("up", [`127.0.0.1:${upstream.port}`])]);
    const over = { listenerFilters: [tlsInspector], listenerFiltersTimeoutMs: 30, continueOnListenerFiltersTimeout: true };
    await proxy.apply(listener("l", [filterChain([tcpProxyFilter("up")], { transportProtocol: "raw_buffer" })], over));
    await client(t, proxy.port("l")).saw(/220 hello/);
  });

  test("a client that leaves meanwhile is counted, logged once and let go", async (t) => {
    const proxy = startL4Proxy(t, []);
    await proxy.apply(listener("l", [filterChain([tcpProxyFilter("x")])], { listenerFilters: [tlsInspector] }));
    client(t, proxy.port("l"), "\u0016").socket.end();
    assert.equal(summary((await proxy.records(1))[0]!), "- - - 0/0");
    assert.equal(proxy.stats.value("listener.l.downstream_listener_filter_remote_close"), 1);
    await proxy.reaches("listener.l.downstream_pre_cx_active", 0);
  });

  test("a hello beyond 16 KiB is refused with its reason", async (t) => {
    const proxy = startL4Proxy(t, []);
    await proxy.apply(listener("l", [filterChain([tcpProxyFilter("x")])], { listenerFilters: [tlsInspector] }));
    const c = client(t, proxy.port("l"));
    c.socket.write(records(helloMessage([extension(21, Buffer.alloc(20_000))])));
    assert.equal((await c.ended).ended, "ECONNRESET");
    assert.equal(summary((await proxy.records(1))[0]!), "- client_hello_too_large - 0/0");
  });

  test("PROXY protocol, then TLS: the header is dropped, the chain matches the client it names", async (t) => {
    const upstream = await serve(t, echo);
    const proxy = startL4Proxy(t, [staticCluster("up", [`127.0.0.1:${upstream.port}`])]);
    const match = { sourcePrefixRanges: [{ addressPrefix: "198.51.100.0", prefixLen: 24 }], destinationPort: 443 };
    await proxy.apply(listener("l", [filterChain([tcpProxyFilter("up")], match)], { listenerFilters: [proxyProtocol, tlsInspector] }));
    const c = client(t, proxy.port("l"), "PROXY TCP4 198.51.100.7 203.0.113.1 5000 443\r\n");
    c.socket.end("hello");
    assert.deepEqual(await c.ended, { received: "hellobye", ended: "FIN" });
    const [record] = await proxy.records(1);
    assert.deepEqual([record?.connection.remote.ip, record?.connection.directRemote.ip], ["198.51.100.7", "127.0.0.1"]);
  });

  test("filter_disabled takes a filter out for the ports it names", async (t) => {
    const upstream = await serve(t, (socket) => socket.write("220"));
    const proxy = startL4Proxy(t, [staticCluster("up", [`127.0.0.1:${upstream.port}`])]);
    const predicate = (start: number, end: number) => ({ kind: "destinationPortRange", start, end }) as const;
    const inspectUnless = (filterDisabled: object) => [{ ...tlsInspector, filterDisabled: filterDisabled as never }];
    const chains = [filterChain([tcpProxyFilter("up")])];
    await proxy.apply(
      listener("off", chains, { listenerFilters: inspectUnless({ kind: "and", rules: [{ kind: "any" }, predicate(1, 65_536)] }) }),
      listener("on", chains, {
        listenerFilters: inspectUnless({ kind: "or", rules: [predicate(1, 2), { kind: "not", rule: { kind: "any" } }] }),
      }),
    );
    await client(t, proxy.port("off")).saw(/220/);
    const held = client(t, proxy.port("on"));
    await proxy.reaches("listener.on.downstream_pre_cx_active", 1);
    assert.equal(held.received(), "");
    held.socket.write("no hello");
    await held.saw(/220/);
  });

  test("a redirected connection goes to the listener of its destination, with what was read", async (t) => {
    const upstream = await serve(t, echo);
    // Stands in for the kernel's answer, which needs netfilter.
    const redirectedTo = (ip: string, port: number): ListenerFilterSpec => ({
      extension: "envoy.filters.listener.original_dst",
      create: () => ({
        needsBytes: false,
        maxBytes: 0,
        inspect: (info) => {
          info.local = { ip, port };
          info.localRestored = true;
          return { kind: "continue", consumed: 0 };
        },
      }),
    });
    for (const [address, restored, expected] of [
      ["10.96.0.7", "10.96.0.7", "virtual"],
      ["0.0.0.0", "10.96.0.8", "virtual"],
      ["10.96.0.7", "10.96.0.8", "front"],
    ] as const) {
      const filters = new Map(listenerFilters).set("envoy.filters.listener.original_dst", redirectedTo(restored, 8000));
      const proxy = startL4Proxy(t, [staticCluster("up", [`127.0.0.1:${upstream.port}`])], { options: { listenerFilters: filters } });
      const chains = [filterChain([tcpProxyFilter("up")])];
      await proxy.apply(
        listener("front", chains, { useOriginalDst: true }),
        listener("virtual", chains, { bindToPort: false, addresses: [{ address, port: 8000 }], listenerFilters: [tlsInspector] }),
      );
      const c = client(t, proxy.port("front"), "ping");
      c.socket.end();
      assert.equal((await c.ended).received, "pingbye");
      const [record] = await proxy.records(1);
      assert.deepEqual([record?.connection.listenerName, record?.connection.local.ip], [expected, restored]);
      assert.deepEqual([proxy.stats.value(`listener.${expected}.downstream_cx_total`)], [1]);
    }
  });
});

suite("TLS chains", () => {
  const ca = makeCa();
  const issued = ca.issue({ dns: ["a.test"] });
  const tls = { kind: "tls", tls: downstreamTls(commonTls(issued)) } as const;

  test("terminates TLS for the chain that the server name chose", async (t) => {
    const upstream = await serve(t, echo);
    const proxy = startL4Proxy(t, [staticCluster("up", [`127.0.0.1:${upstream.port}`])]);
    const chain = filterChain(
      [tcpProxyFilter("up")],
      { serverNames: ["a.test"], transportProtocol: "tls" },
      { transportSocket: tls, name: "secure" },
    );
    await proxy.apply(listener("l", [chain], { listenerFilters: [tlsInspector] }));
    const socket = tlsConnect({ port: proxy.port("l"), host: "127.0.0.1", servername: "a.test", ca: ca.cert });
    t.after(() => socket.destroy());
    let received = "";
    socket.on("data", (chunk) => (received += chunk.toString()));
    socket.write("ping");
    await until(() => received === "ping");
    socket.end();
    const records = await proxy.records(2);
    console.error(records.map((r) => [r.connection.id, r.connection.remote, r.connection.local]));
    assert.equal(records[0]?.connection.filterChainName, "secure");
    assert.deepEqual([proxy.stats.value("listener.l.ssl.handshake"), proxy.stats.value("listener.l.downstream_cx_active")], [1, 0]);
  });

  test("a handshake that never comes ends at transport_socket_connect_timeout, logged once", async (t) => {
    const proxy = startL4Proxy(t, []);
    const chain = filterChain([tcpProxyFilter("up")], {}, { transportSocket: tls, transportSocketConnectTimeoutMs: 40 });
    await proxy.apply(listener("l", [chain]));
    await client(t, proxy.port("l")).ended;
    assert.equal(summary((await proxy.records(1))[0]!), "- - - 0/0");
    assert.equal(proxy.stats.value("listener.l.downstream_cx_transport_socket_connect_timeout"), 1);
    await proxy.reaches("listener.l.downstream_cx_active", 0);
  });

  test("a chain whose secret has not come closes and says so", async (t) => {
    const proxy = startL4Proxy(t, []);
    const waiting = { kind: "tls", tls: downstreamTls(commonTls(undefined, { certificateSecrets: ["default"] })) } as const;
    await proxy.apply(listener("l", [filterChain([tcpProxyFilter("up")], {}, { transportSocket: waiting })]));
    await client(t, proxy.port("l")).ended;
    assert.equal((await proxy.records(1))[0]?.connection.transportFailureReason, "TLS_error: secret is not supplied by SDS");
    assert.equal(proxy.stats.value("listener.l.server_ssl_socket_factory.downstream_context_secrets_not_ready"), 1);
  });
});

suite("listener updates", () => {
  test("a change serves new connections by the new chains and leaves old ones alone", async (t) => {
    const one = await serve(t, echo);
    const two = await serve(t, (socket) => socket.end("two"));
    const proxy = startL4Proxy(t, [staticCluster("one", [`127.0.0.1:${one.port}`]), staticCluster("two", [`127.0.0.1:${two.port}`])]);
    await proxy.apply(listener("l", [filterChain([tcpProxyFilter("one")])]));
    const port = proxy.port("l");
    const old = client(t, port, "ping");
    await old.saw(/ping/);
    await proxy.apply(listener("l", [filterChain([tcpProxyFilter("two")])]));
    assert.equal(proxy.port("l"), port);
    assert.equal((await client(t, port).ended).received, "two");
    old.socket.end("pong");
    assert.deepEqual(await old.ended, { received: "pingpongbye", ended: "FIN" });
  });

  test("connections of a chain that went away are closed after the drain time, those of one that stayed are not", async (t) => {
    const upstream = await serve(t, echo);
    const clusters = ["a", "b"].map((name) => staticCluster(name, [`127.0.0.1:${upstream.port}`]));
    const proxy = startL4Proxy(t, clusters, { drainTimeMs: 30 });
    const chain = (name: string, lastOctet: number) =>
      filterChain([tcpProxyFilter(name)], { prefixRanges: [{ addressPrefix: `127.0.0.${lastOctet}`, prefixLen: 32 }] });
    const over = { addresses: [{ address: "0.0.0.0", port: 0 }] };
    await proxy.apply(listener("l", [chain("a", 1), chain("b", 2)], over));
    const open = async (host: string) => {
      const socket = connect({ port: proxy.port("l"), host });
      socket.on("error", () => {});
      t.after(() => socket.destroy());
      socket.write("x");
      await once(socket, "data");
      return socket;
    };
    const [leaving, staying] = [await open("127.0.0.1"), await open("127.0.0.2")];
    await proxy.apply(listener("l", [chain("b", 2)], over));
    leaving.resume();
    await once(leaving, "close");
    staying.write("y");
    const [data] = (await once(staying, "data")) as [Buffer];
    assert.equal(data.toString(), "y");
  });

  test("an added address is bound, the old one keeps its socket, a removed one refuses", async (t) => {
    const upstream = await serve(t, (socket) => socket.end("hi"));
    const proxy = startL4Proxy(t, [staticCluster("up", [`127.0.0.1:${upstream.port}`])]);
    const chains = [filterChain([tcpProxyFilter("up")])];
    const first = { address: "127.0.0.1", port: await closedPort() };
    await proxy.apply(listener("l", chains, { addresses: [first] }));
    await proxy.apply(listener("l", chains, { addresses: [{ address: "127.0.0.2", port: first.port }, first] }));
    for (const host of ["127.0.0.1", "127.0.0.2"]) {
      const socket = connect({ port: first.port, host });
      const [data] = (await once(socket, "data")) as [Buffer];
      assert.equal(data.toString(), "hi");
      socket.destroy();
    }
    await proxy.apply(listener("l", chains, { addresses: [{ address: "127.0.0.2", port: first.port }] }));
    assert.equal((await client(t, first.port).ended).ended, "ECONNREFUSED");
  });

  test("a removed listener refuses connections and finishes those it has", async (t) => {
    const upstream = await serve(t, echo);
    const proxy = startL4Proxy(t, [staticCluster("up", [`127.0.0.1:${upstream.port}`])]);
    await proxy.apply(listener("l", [filterChain([tcpProxyFilter("up")])]));
    const port = proxy.port("l");
    const c = client(t, port, "ping");
    await c.saw(/ping/);
    await proxy.manager.apply(removing("l"));
    assert.equal((await client(t, port).ended).ended, "ECONNREFUSED");
    c.socket.end();
    assert.equal((await c.ended).received, "pingbye");
  });

  test("a bad update names its listener and leaves what was there", async (t) => {
    const upstream = await serve(t, (socket) => socket.end("hi"));
    const proxy = startL4Proxy(t, [staticCluster("up", [`127.0.0.1:${upstream.port}`])]);
    const chain = filterChain([tcpProxyFilter("up")]);
    await proxy.apply(listener("l", [chain]));
    const failures = await proxy.apply(listener("l", [chain, chain]), listener("m", [chain]));
    assert.deepEqual(
      failures.map((failure) => failure.name),
      ["l"],
    );
    assert.match(failures[0]?.message ?? "", /matches the same connections/);
    assert.equal((await client(t, proxy.port("l")).ended).received, "hi");
    assert.equal((await client(t, proxy.port("m")).ended).received, "hi");
  });

  test("connections beyond max_connections are refused and counted, and taken again when one has gone", async (t) => {
    const upstream = await serve(t, echo);
    const proxy = startL4Proxy(t, [staticCluster("up", [`127.0.0.1:${upstream.port}`])]);
    await proxy.apply(listener("l", [filterChain([tcpProxyFilter("up")])], { maxConnections: 1 }));
    const first = client(t, proxy.port("l"), "ping");
    await first.saw(/ping/);
    assert.equal((await client(t, proxy.port("l")).ended).received, "");
    assert.equal(proxy.stats.value("listener.l.downstream_cx_overflow"), 1);
    first.socket.end();
    await first.ended;
    await proxy.reaches("listener.l.downstream_cx_active", 0);
    await client(t, proxy.port("l"), "pong").saw(/pong/);
  });
});

suite("binding", () => {
  test("a port in use, an address that is not here: one sentence each that says what to do", async (t) => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    t.after(() => taken.close());
    const { port } = taken.address() as AddressInfo;
    const proxy = startL4Proxy(t, []);
    const chains = [filterChain([tcpProxyFilter("x")])];
    const failures = await proxy.apply(
      listener("used", chains, { addresses: [{ address: "127.0.0.1", port }] }),
      listener("elsewhere", chains, { addresses: [{ address: "192.0.2.55", port: 8080 }] }),
    );
    assert.match(failures[0]?.message ?? "", new RegExp(`^listener used: 127\\.0\\.0\\.1:${port} is already in use: stop .* or give`));
    assert.match(
      failures[1]?.message ?? "",
      /^listener elsewhere: cannot listen on 192\.0\.2\.55:8080 because this machine has no address/,
    );
    assert.deepEqual(proxy.manager.views(), []);
  });

  test("one address of two that fails leaves none bound", async (t) => {
    const port = await closedPort();
    const proxy = startL4Proxy(t, []);
    const addresses = [
      { address: "127.0.0.1", port },
      { address: "192.0.2.55", port },
    ];
    assert.equal((await proxy.apply(listener("l", [filterChain([tcpProxyFilter("x")])], { addresses }))).length, 1);
    assert.equal((await client(t, port).ended).ended, "ECONNREFUSED");
  });

  test("listeners on 0.0.0.0 and :: share a port", async (t) => {
    const upstream = await serve(t, (socket) => socket.end("hi"));
    const proxy = startL4Proxy(t, [staticCluster("up", [`127.0.0.1:${upstream.port}`])]);
    const chains = [filterChain([tcpProxyFilter("up")])];
    await proxy.apply(listener("v4", chains, { addresses: [{ address: "0.0.0.0", port: 0 }] }));
    const failures = await proxy.apply(listener("v6", chains, { addresses: [{ address: "::", port: proxy.port("v4") }] }));
    if (failures[0]?.message.includes("EAFNOSUPPORT")) return t.skip("no IPv6 on this machine");
    assert.deepEqual(failures, []);
    const socket = connect({ port: proxy.port("v6"), host: "::1" });
    const [data] = (await once(socket, "data")) as [Buffer];
    assert.equal(data.toString(), "hi");
    const [record] = await proxy.records(1);
    assert.equal(record?.connection.remote.ip, "::1");
    socket.destroy();
  });

  test("additional_addresses: one listener answers on both families", async (t) => {
    const upstream = await serve(t, (socket) => socket.end("hi"));
    const proxy = startL4Proxy(t, [staticCluster("up", [`127.0.0.1:${upstream.port}`])]);
    const chains = [filterChain([tcpProxyFilter("up")])];
    const port = await closedPort();
    const addresses = ["0.0.0.0", "::"].map((address) => ({ address, port }));
    const failures = await proxy.apply(listener("l", chains, { addresses }));
    if (failures[0]?.message.includes("EAFNOSUPPORT")) return t.skip("no IPv6 on this machine");
    assert.deepEqual(failures, []);
    for (const host of ["127.0.0.1", "::1"]) {
      const socket = connect({ port, host });
      const [data] = (await once(socket, "data")) as [Buffer];
      assert.equal(data.toString(), "hi", host);
      socket.destroy();
    }
    // Each connection is logged by its listener and by its filter.
    const records = await proxy.records(4);
    assert.deepEqual(new Set(records.map((record) => record.connection.remote.ip)), new Set(["127.0.0.1", "::1"]));
  });

  test("after stopAccepting nothing new comes in, and what is open goes on", async (t) => {
    const upstream = await serve(t, echo);
    const proxy = startL4Proxy(t, [staticCluster("up", [`127.0.0.1:${upstream.port}`])]);
    const chains = [filterChain([tcpProxyFilter("up")])];
    await proxy.apply(listener("in", chains, { trafficDirection: "INBOUND" }), listener("out", chains, { trafficDirection: "OUTBOUND" }));
    const [inbound, outbound] = [proxy.port("in"), proxy.port("out")];
    const open = client(t, inbound, "ping");
    await open.saw(/ping/);
    proxy.manager.stopAccepting("inbound");
    assert.equal((await client(t, inbound).ended).ended, "ECONNREFUSED");
    await client(t, outbound, "still").saw(/still/);
    open.socket.end();
    assert.equal((await open.ended).received, "pingbye");
  });
});
