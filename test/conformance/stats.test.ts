// Counters and gauges beside the real Envoy, where a machine has it: both get the same bytes from the same bootstrap, and after each
// piece of traffic every name that moved on either side has moved by as much on the other.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { LiveCase } from "./live/case.ts";
import { cases } from "./live/cases/all.ts";
import { exchange } from "./live/exchange.ts";
import { exchangeFrames } from "./live/h2-exchange.ts";
import { startOrigins } from "./live/origins.ts";
import { liveProblem, startEnvoy, startIsthmus, type RunningProxy } from "./live/proxies.ts";
import { liveBootstrap } from "./live/resources.ts";

/** The live cases whose traffic it is; they say themselves what is sent. */
const traffic: readonly string[] = [
  "http1: body in two pieces",
  "http1: chunk size with a sign",
  "http1: garbage after a good request",
  "http1: pipelined, the first answered late",
  "http1: client ends inside the head",
  "http1: client ends inside the body",
  "http1: nothing but CRLF",
  "http1: HTTP/2 preface cut short",
  "limit: max_request_headers_kb 4",
  "redirect: scheme",
  "direct: 204",
  "direct: POST whose body is still coming",
  "response: until-close",
  "response: length-and-chunks",
  "response: bad-chunk",
  "response: early",
  "response: 999",
  "response: extra-bytes",
  "response: before the request is complete",
  "internal redirect: followed once",
  "retry: 5xx twice, then good",
  "retry: 5xx for too long",
  "retry: a closed connection counts as 5xx",
  "retry: reset for too long",
  "retry: retriable-4xx takes 409",
  "retry: connect failure to the same dead host",
  "retry: an attempt fails before the body is whole",
  "timeout: route",
  "timeout: each try",
  "timeout: stream idle",
  "timeout: stream duration",
  "timeout: the request's body stops",
  "timeout: nothing is sent",
  "upstream: no endpoints",
  "upstream: unknown cluster",
  "upstream: refused",
  "upstream: circuit open",
  "upstream: closes before it answers",
  "upstream: resets before it answers",
  "upstream: answers garbage",
  "upstream: HTTP/2 stream reset",
  "upstream: HTTP/2 stream refused",
  "fault: abort",
  "rate limit: second is refused",
  "http2: body with its length",
  "http2: shorter body than announced",
  "http2: a frame larger than allowed",
  "http2: no path",
  "http2: rewritten and retried",
  "http2: route timeout",
  "http2: origin closes",
  "http2: bad chunk of the origin behind the head",
  "http2: trailers of an HTTP/2 origin",
  "http2: prior knowledge at a listener for both",
  "grpc: trailers only",
  "grpc: no endpoints",
  "grpc: route timeout",
  "upgrade: websocket, bytes both ways",
  "upgrade: websocket, bytes with the request",
  "upgrade: websocket, the origin is gone",
  "upgrade: websocket where the route does not allow it",
  "connect: terminated, bytes both ways",
  "connect: terminated, no such route",
  "tcp: half-close travels through",
  "tcp: idle timeout",
  "tcp: refused twice",
  "tcp: refused, client speaks",
  "tcp: no endpoints",
  "tcp: no endpoints, client speaks",
];

/** What is compared. */
const compared = /^(?:http|cluster|listener|tcp|vhost|listener_manager|cluster_manager|http1|http2)\./;

/** Names that may differ, and why. */
const differences: readonly (readonly [name: RegExp, reason: string])[] = [
  [/_bytes(?:_|$)/, "heads are spelled a little differently (dates, generated ids, ports)"],
  [/^(?:http|listener)\.admin\./, "the administration is no listener here"],
  [
    /^cluster\..*\.(?:external|internal)\.upstream_rq_/,
    "copies of upstream_rq_* by where a request comes from, three increments a response",
  ],
  [/^listener\..*\.http\./, "copies of http.PREFIX.downstream_rq_* by listener"],
  [/^listener\..*\.worker_\d+\./, "copies of listener.* by worker"],
  [/\.nghttp2_\w+_connections$|^http2\.nghttp2_/, "nghttp2 is not in use"],
  [/^http2\.goaway_sent$/, "Envoy often ends a broken connection without the GOAWAY that RFC 9113 asks for"],
  [
    /\.downstream_cx_delayed_close_timeout$/,
    "HTTP/2 clients are told by FIN at once and close first; HTTP/1 does not wait where nothing can be left to come",
  ],
  [
    /^cluster\.[^.]+\.(?:health_check\.|default\.total_match_count$|ring_hash_lb\.)/,
    "health checks have their own clock; sizes of structures Envoy makes",
  ],
  [/http2\.rx_messaging_error$/, "a body of another length than announced counts here, too"],
  [/^cluster\.[^.]+\.http2\.rx_reset$/, "RST_STREAM for a stream that this side has reset before is not counted"],
  [/^cluster\.echo\.upstream_cx_destroy_/, "which side ended a relayed connection is known inside the kernel alone, and it has no request"],
  [/^cluster_manager\.cluster_updated/, "how often endpoints were handed to Envoy's workers"],
  [/^listener_manager\.workers_started$/, "workers are threads that come back: server.concurrency counts them"],
];

const settleMs = 2500;

type Values = ReadonlyMap<string, number>;

async function values(proxy: RunningProxy): Promise<Values> {
  const lines = await proxy.stats(compared);
  const found = lines.map((line): [string, number] => {
    const at = line.lastIndexOf(": ");
    // A listener's stats are called by its address.
    return [line.slice(0, at).replace(/^(listener\.[\d.]+_)\d+/, "$1PORT"), Number(line.slice(at + 2))];
  });
  const sums = new Map<string, number>();
  for (const [name, value] of found)
    if (!differences.some(([pattern]) => pattern.test(name))) sums.set(name, (sums.get(name) ?? 0) + value);
  return sums;
}

function moved(before: Values, after: Values): Readonly<Record<string, number>> {
  const names = [...new Set([...before.keys(), ...after.keys()])].sort();
  return Object.fromEntries(
    names.map((name) => [name, (after.get(name) ?? 0) - (before.get(name) ?? 0)] as const).filter(([, by]) => by !== 0),
  );
}

/** What moved on each side, once that is the same or the time for it is over. */
async function settled(
  proxies: readonly RunningProxy[],
  before: readonly Values[],
): Promise<{ readonly after: readonly Values[]; readonly changes: readonly Readonly<Record<string, number>>[] }> {
  for (const deadline = Date.now() + settleMs; ;) {
    const after = await Promise.all(proxies.map(values));
    const changes = after.map((one, index) => moved(before[index]!, one));
    if (JSON.stringify(changes[0]) === JSON.stringify(changes[1]) || Date.now() > deadline) return { after, changes };
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const send = (proxy: RunningProxy, one: LiveCase): Promise<unknown> =>
  (one.kind === "h2" ? exchangeFrames : exchange)(proxy.port(one.listener), one);

suite("counters and gauges move as Envoy's do", { skip: liveProblem ?? false }, () => {
  test("all traffic", async (t) => {
    const origins = await startOrigins();
    t.after(() => origins.close());
    const bootstrap = liveBootstrap(origins);
    const proxies: RunningProxy[] = [];
    for (const start of [startEnvoy, startIsthmus]) {
      const proxy = await start(bootstrap);
      t.after(() => proxy.stop());
      proxies.push(proxy);
    }
    const nothing = proxies.map((): Values => new Map());
    let { after: before, changes } = await settled(proxies, nothing);
    await t.test("after the start", () => assert.deepEqual(changes[1], changes[0]));
    for (const name of traffic) {
      await t.test(name, async () => {
        const one = cases.find((each) => each.name === name);
        assert.ok(one !== undefined, `no live case ${name}`);
        const from = before;
        await Promise.all(proxies.map((proxy) => send(proxy, one)));
        ({ after: before, changes } = await settled(proxies, from));
        assert.ok(Object.keys(changes[0]!).length > 0, "nothing moved");
        assert.deepEqual(changes[1], changes[0]);
      });
    }
  });
});
