// An east-west gateway's listener on real sockets: who gets through, and what is said of whoever does not. Every server name with
// every ALPN, from the mesh directory to the sidecar, is mesh/sni-refusal-matrix.test.ts.
import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo, Socket } from "node:net";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { createServer as createTlsServer } from "node:tls";
import type { Listener } from "../../src/envoy/listener/listener.ts";
import { sniRefusals } from "../../src/filter/sni-refusal.ts";
import { compileFormat } from "../../src/telemetry/format.ts";
import { makeCa } from "../support/certs.ts";
import { alpnExtension, extension, helloMessage, records, serverNameExtension } from "../support/client-hello.ts";
import { assignment, cluster, endpoint, group, staticCluster } from "../support/cluster-models.ts";
import { startL4Proxy, summary } from "../support/l4-proxy.ts";
import type { L4Proxy } from "../support/l4-proxy.ts";
import { filterChain, filterConfig, listener, tcpProxyFilter } from "../support/listener-models.ts";
import { handshake, meshAlpn } from "../support/sni-matrix.ts";
import { client, serve } from "../support/tcp.ts";

const host = "httpbin.default.svc.cluster.local";
const name = `outbound_.80_._.${host}`;

/** The listener of AUTO_PASSTHROUGH, one chain a name, each with its cluster of the same name. */
function gateway(names: readonly string[] = [name], over: Partial<Listener> = {}): Listener {
  const chains = names.map((sni) => filterChain([tcpProxyFilter(sni)], { serverNames: [sni], applicationProtocols: meshAlpn }));
  return listener("l", chains, { listenerFilters: [filterConfig("envoy.filters.listener.tls_inspector")], ...over });
}

/** The reasons counted so far. */
function refusals(proxy: L4Proxy): Record<string, number> {
  const counts = sniRefusals.map((reason) => [reason, proxy.stats.value(`listener.l.sni_refused.${reason}`)] as const);
  return Object.fromEntries(counts.filter(([, count]) => count !== 0).map(([reason, count]) => [reason, count ?? -1]));
}

/** A workload's sidecar: it demands a certificate of the mesh. */
async function meshWorkload(t: TestContext) {
  const ca = makeCa();
  const issued = ca.issue({ uri: ["spiffe://cluster.local/ns/default/sa/httpbin"] });
  const seen = { refused: 0, served: 0 };
  const server = createTlsServer({
    cert: issued.chain,
    key: issued.key,
    ca: ca.cert,
    requestCert: true,
    rejectUnauthorized: true,
    ALPNProtocols: [...meshAlpn],
  });
  server.on("tlsClientError", (error: NodeJS.ErrnoException) => {
    if (error.code === "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE") seen.refused++;
  });
  server.on("secureConnection", () => seen.served++);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return { port: (server.address() as AddressInfo).port, seen };
}

suite("reasons beyond the server name", () => {
  test("endpoints of which none is healthy: UH, all_unhealthy", async (t) => {
    const sick = assignment(name, [group([endpoint("127.0.0.1:1", { healthStatus: "UNHEALTHY" })])]);
    const proxy = startL4Proxy(t, [cluster(name, { healthyPanicThreshold: 0, loadAssignment: sick })]);
    await proxy.apply(gateway());
    assert.deepEqual(await handshake(t, { port: proxy.port("l") }, name, ["istio"]), { code: "ECONNRESET", bytes: 0 });
    assert.equal(summary((await proxy.records(1))[0]!), `UH all_unhealthy ${name} 0/0`);
    assert.deepEqual(refusals(proxy), { all_unhealthy: 1 });
  });

  test("a subset nobody exports, beside one that is", async (t) => {
    const proxy = startL4Proxy(t, []);
    await proxy.apply(gateway([name, `outbound_.80_.v1_.${host}`]));
    await handshake(t, { port: proxy.port("l") }, `outbound_.80_.v2_.${host}`, ["istio"]);
    assert.equal(summary((await proxy.records(1))[0]!), "NR unknown_subset - 0/0");
  });

  test("a new name in the listener is no longer refused", async (t) => {
    const workload = await meshWorkload(t);
    const other = `outbound_.80_._.other.test`;
    const proxy = startL4Proxy(t, [staticCluster(other, [`127.0.0.1:${workload.port}`])]);
    await proxy.apply(gateway());
    await handshake(t, { port: proxy.port("l") }, other, ["istio"]);
    assert.deepEqual(refusals(proxy), { host_not_exported: 1 });
    await proxy.apply(gateway([name, other]));
    assert.equal((await handshake(t, { port: proxy.port("l") }, other, ["istio"])).code, "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED");
    assert.deepEqual(refusals(proxy), { host_not_exported: 1 });
  });

  test("a listener of ordinary server names says what Envoy says, and counts nothing of its own", async (t) => {
    const proxy = startL4Proxy(t, [cluster("none")]);
    await proxy.apply(gateway([], { filterChains: [filterChain([tcpProxyFilter("none")], { serverNames: ["a.test"] })] }));
    await handshake(t, { port: proxy.port("l") }, "b.test", ["istio"]);
    assert.equal(summary((await proxy.records(1))[0]!), "NR filter_chain_not_found - 0/0");
    await handshake(t, { port: proxy.port("l") }, "a.test", ["istio"]);
    assert.equal(summary((await proxy.records(3))[2]!), "UH - none 0/0");
    assert.deepEqual(
      proxy.stats.names().filter((stat) => stat.includes("sni_refused")),
      [],
    );
  });
});

/** A gateway before a backend that keeps what it gets. */
async function passingGateway(t: TestContext, over: Partial<Listener> = {}) {
  const backend: Buffer[] = [];
  const upstream = await serve(t, (socket) => {
    const at = backend.push(Buffer.alloc(0)) - 1;
    socket.on("data", (chunk) => {
      backend[at] = Buffer.concat([backend[at]!, chunk]);
      socket.write(`${backend[at].length};`);
    });
  });
  const proxy = startL4Proxy(t, [staticCluster(name, [`127.0.0.1:${upstream.port}`])]);
  await proxy.apply(gateway([name], over));
  return { proxy, backend };
}

/** Lets the proxy read what was written before more follows. */
async function written(socket: Socket, bytes: Buffer): Promise<void> {
  await new Promise((resolve) => socket.write(bytes, resolve));
  for (let turn = 0; turn < 3; turn++) await nextTurn();
}

suite("client hellos of every shape", () => {
  const message = (sni: string | Buffer = name, ...more: readonly Buffer[]): Buffer =>
    helloMessage([...more, serverNameExtension(sni), alpnExtension("istio-http/1.1", "istio")]);
  const grease = extension(0x5a5a, Buffer.from([0]));

  test("cut in two after each of its first 64 bytes, it arrives whole", async (t) => {
    const { proxy, backend } = await passingGateway(t);
    const hello = records(message());
    for (let cut = 1; cut <= 64; cut++) {
      const c = client(t, proxy.port("l"));
      await written(c.socket, hello.subarray(0, cut));
      c.socket.write(hello.subarray(cut));
      await c.saw(new RegExp(`\\b${hello.length};`));
      c.socket.destroy();
      assert.deepEqual(backend.at(-1), hello, `cut after ${cut} bytes`);
    }
    assert.equal(backend.length, 64);
    assert.deepEqual(refusals(proxy), {});
  });

  test("a refusal does not hang on how the hello was cut", async (t) => {
    const { proxy } = await passingGateway(t);
    const hello = records(message(`outbound_.81_._.${host}`), 20);
    for (let cut = 1; cut <= 64; cut++) {
      const c = client(t, proxy.port("l"));
      await written(c.socket, hello.subarray(0, cut));
      c.socket.write(hello.subarray(cut));
      assert.deepEqual(await c.ended, { received: "", ended: "ECONNRESET" }, `cut after ${cut} bytes`);
    }
    assert.deepEqual(refusals(proxy), { unknown_port: 64 });
  });

  for (const [title, bytes] of [
    ["one byte a record", records(message(), 1)],
    ["seven bytes a record", records(message(), 7)],
    ["two records", records(message(), 100)],
    ["with a post-quantum key share", records(message(name, extension(51, Buffer.alloc(1_300))))],
    ["with GREASE and an encrypted hello beside the outer name", records(message(name, grease, extension(0xfe0d, Buffer.alloc(240))))],
    ["of nearly 16 KiB", records(message(name, extension(21, Buffer.alloc(16_000))))],
    ["of nearly 16 KiB in many records", records(message(name, extension(21, Buffer.alloc(15_000))), 512)],
  ] as const) {
    test(`${title}: it gets through, byte for byte`, async (t) => {
      const { proxy, backend } = await passingGateway(t);
      const c = client(t, proxy.port("l"));
      for (let at = 0; at < bytes.length; at += 4_000) await written(c.socket, bytes.subarray(at, at + 4_000));
      await c.saw(new RegExp(`\\b${bytes.length};`));
      assert.deepEqual(backend, [bytes]);
    });
  }

  const timeout = { listenerFiltersTimeoutMs: 40 };
  const goOn = { ...timeout, continueOnListenerFiltersTimeout: true };
  const half = records(message()).subarray(0, 50);
  for (const [title, bytes, over, reason, ended] of [
    ["more than 16 KiB", records(message(name, extension(21, Buffer.alloc(20_000)))), {}, "hello_too_large", "ECONNRESET"],
    [
      "more than 16 KiB in many records",
      records(message(name, extension(21, Buffer.alloc(20_000))), 99),
      {},
      "hello_too_large",
      "ECONNRESET",
    ],
    ["nothing", Buffer.alloc(0), timeout, "hello_timeout", "FIN"],
    ["half a hello", half, timeout, "hello_timeout", "ECONNRESET"],
    ["nothing, and the time limit is not enforced", Buffer.alloc(0), goOn, "hello_timeout", "FIN"],
    ["half a hello, and the time limit is not enforced", half, goOn, "hello_timeout", "ECONNRESET"],
    ["plain text", Buffer.from("GET / HTTP/1.1\r\nhost: httpbin\r\n\r\n"), {}, "not_tls", "ECONNRESET"],
    ["an alert instead of a hello", Buffer.from([21, 3, 1, 0, 2, 2, 80]), {}, "not_tls", "ECONNRESET"],
    ["an empty name", records(message("")), {}, "malformed_sni", "ECONNRESET"],
    ["a name longer than a name may be", records(message(`outbound_.80_._.${"a".repeat(300)}`)), {}, "malformed_sni", "ECONNRESET"],
    ["a NUL in the name", records(message(`${name}\0.test`)), {}, "malformed_sni", "ECONNRESET"],
  ] as const) {
    test(`${title}: ${reason}, no bytes`, async (t) => {
      const { proxy, backend } = await passingGateway(t, over);
      const c = client(t, proxy.port("l"));
      if (bytes.length > 0) c.socket.write(bytes);
      assert.deepEqual(await c.ended, { received: "", ended });
      const [record] = await proxy.records(1);
      assert.equal(summary(record!), `NR ${reason} - 0/0`);
      assert.equal(record?.connection.serverName, "");
      assert.deepEqual(refusals(proxy), { [reason]: 1 });
      assert.deepEqual(backend, []);
    });
  }

  test("a client that leaves in the middle of its hello was refused by nobody", async (t) => {
    const { proxy } = await passingGateway(t);
    client(t, proxy.port("l")).socket.end(half);
    assert.equal(summary((await proxy.records(1))[0]!), "- - - 0/0");
    assert.deepEqual(refusals(proxy), {});
  });

  test("a name that would break the log's line is written so that it does not", async (t) => {
    const { proxy } = await passingGateway(t);
    const c = client(t, proxy.port("l"));
    c.socket.write(records(message('a"\r\n|b')));
    await c.ended;
    const format = compileFormat("%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %REQUESTED_SERVER_NAME%", { hostname: "" });
    assert.ok(format.ok);
    assert.equal(format.value((await proxy.records(1))[0]!), "NR malformed_sni invalid:a____b");
  });
});
