// gRPC between unmodified programs through two proxies with mutual TLS in between: all four kinds of calls, cancellation,
// deadlines, a long stream, and the proxy's own answers.
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { Metadata, status } from "@grpc/grpc-js";
import { makeCa } from "../../support/certs.ts";
import { chat, collect, echoService, same, spread, startGrpcApp, startGrpcClient, unary } from "../../support/grpc-app.ts";
import { explicitHttp2 } from "../../support/h2-origin.ts";
import { bootstrap, cluster, httpListener, startTestProxy, type Ending, type TestProxy } from "../../support/proxy.ts";

const ca = makeCa("mesh");
const caller = "spiffe://cluster.local/ns/default/sa/caller";
const called = "spiffe://cluster.local/ns/default/sa/called";

function commonTls(identity: string, alpn: readonly string[], validation: object): object {
  const { chain, key } = ca.issue({ uri: [identity] });
  return {
    alpn_protocols: alpn,
    tls_certificates: [{ certificate_chain: { inline_string: chain }, private_key: { inline_string: key } }],
    validation_context: { trusted_ca: { inline_string: ca.cert }, ...validation },
  };
}

function tlsSocket(direction: "Upstream" | "Downstream", fields: object): object {
  return {
    transport_socket: {
      name: "envoy.transport_sockets.tls",
      typed_config: { "@type": `type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.${direction}TlsContext`, ...fields },
    },
  };
}

/** Two proxies as sidecars are: the caller's speaks mesh mTLS to the called one's. */
async function startSidecars(t: Ending, appPort: number, route: object = {}): Promise<{ outbound: TestProxy; inbound: TestProxy }> {
  const noTimeout = [{ match: { prefix: "/" }, route: { cluster: "origin", timeout: "0s" } }];
  const inboundListener = httpListener("inbound", { routes: noTimeout }) as { filter_chains: object[] };
  inboundListener.filter_chains[0] = {
    ...inboundListener.filter_chains[0],
    ...tlsSocket("Downstream", { common_tls_context: commonTls(called, ["h2", "http/1.1"], {}), require_client_certificate: true }),
  };
  const inbound = await startTestProxy(t, bootstrap([inboundListener], [cluster("origin", appPort, explicitHttp2)]));
  const names = { match_typed_subject_alt_names: [{ san_type: "URI", matcher: { exact: called } }] };
  const upstream = {
    ...explicitHttp2,
    ...tlsSocket("Upstream", { sni: "outbound_.80_._.echo", common_tls_context: commonTls(caller, ["istio-h2", "istio", "h2"], names) }),
  };
  const outboundListener = httpListener("outbound", {
    routes: [{ match: { prefix: "/" }, route: { cluster: "origin", timeout: "0s", ...route } }],
  });
  const outbound = await startTestProxy(t, bootstrap([outboundListener], [cluster("origin", inbound.port("inbound"), upstream)]));
  return { outbound, inbound };
}

async function startAll(t: Ending, route: object = {}) {
  const app = await startGrpcApp(t);
  const { outbound, inbound } = await startSidecars(t, app.port, route);
  const client = startGrpcClient(t, `127.0.0.1:${outbound.port("outbound")}`);
  return { client, outbound, inbound, seen: app.seen };
}

suite("gRPC through two sidecars with mutual TLS", () => {
  const ends: (() => Promise<void> | void)[] = [];
  let all: Awaited<ReturnType<typeof startAll>>;
  before(async () => {
    all = await startAll({ after: (end) => ends.push(end) });
  });
  after(async () => {
    for (const end of ends.toReversed()) await end();
  });

  test("unary calls, with metadata and trailers both ways", async () => {
    const { client, seen, inbound, outbound } = all;
    const metadata = new Metadata();
    metadata.set("x-mine", "1");
    metadata.set("x-raw-bin", Buffer.from([0, 255, 128]));
    assert.deepEqual(await unary(client, "hello", {}, metadata), { code: 0, details: "OK", value: "hello", trailer: "kept" });
    assert.deepEqual([seen.metadata.at(-1)!.get("x-mine"), seen.metadata.at(-1)!.get("x-raw-bin")], [["1"], [Buffer.from([0, 255, 128])]]);
    assert.deepEqual([outbound.stat("cluster.origin.ssl.handshake"), inbound.stat("http.inbound.downstream_cx_http2_total")], [1, 1]);
  });

  test("a failing call keeps its status, message and trailers", async () => {
    const { client } = all;
    const { code, details, trailer } = await unary(client, "fail 5");
    assert.deepEqual([code, details, trailer], [status.NOT_FOUND, "as asked é", "kept"]);
  });

  test("client streaming", async () => {
    assert.equal(await collect(all.client, Buffer.alloc(1000), 100), 100_000);
  });

  test("100 MB streamed from the server", async () => {
    const { client } = all;
    assert.equal(await spread(client, 1_000_000, 100), 100_000_000);
  });

  test("bidirectional streaming, message by message", async () => {
    assert.equal(await chat(all.client, 20), 0);
  });

  test("cancellation reaches the server", async () => {
    const { client, seen } = all;
    const call = client.makeServerStreamRequest(echoService.spread.path, same, same, Buffer.from("1000 1000000"));
    call.on("error", () => undefined);
    call.once("data", () => call.cancel());
    await seen.cancelled();
  });

  test("a deadline ends the call on both sides", async () => {
    const { client, seen } = all;
    // A connection that still has to be made would use the time up.
    await unary(client, "warm");
    assert.equal((await unary(client, "never", { deadline: Date.now() + 300 })).code, status.DEADLINE_EXCEEDED);
    await seen.cancelled();
  });

  test("grpc-timeout is the proxy's own limit where the route says so", async (t) => {
    const { client, outbound } = await startAll(t, { max_stream_duration: { grpc_timeout_header_max: "0.05s" } });
    const { code, details } = await unary(client, "never", { deadline: Date.now() + 5000 });
    assert.deepEqual([code, details], [status.DEADLINE_EXCEEDED, "downstream duration timeout"]);
    assert.equal((await outbound.accessLog(1))[0]!["details"], "max_duration_timeout");
  });

  test("what the proxy answers itself is a gRPC status", async (t) => {
    const { client, inbound } = await startAll(t);
    await inbound.proxy.stop();
    const { code, details } = await unary(client, "x");
    assert.equal(code, status.UNAVAILABLE);
    assert.match(details, /^upstream connect error or disconnect\/reset before headers/);
  });

  test("a status in the response's head is retried where the route says so", async (t) => {
    // grpc-js answers a failing unary call with trailers alone, so its status stands in the head.
    const { client, seen, outbound } = await startAll(t, {
      retry_policy: { retry_on: "unavailable", num_retries: 2, retry_back_off: { base_interval: "0.001s" } },
    });
    assert.equal((await unary(client, `fail ${status.UNAVAILABLE}`)).code, status.UNAVAILABLE);
    assert.deepEqual([seen.metadata.length, outbound.stat("cluster.origin.upstream_rq_retry")], [3, 2]);
  });

  test("a hundred calls at once share the connections", async () => {
    const { client, outbound } = all;
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => unary(client, `m${i}`)));
    answers.forEach(({ value }, i) => assert.equal(value, `m${i}`));
    assert.equal(outbound.stat("cluster.origin.upstream_cx_http2_total"), 1);
  });
});
