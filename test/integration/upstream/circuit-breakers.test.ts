// Circuit breakers over real sockets: the same steps against this proxy and, where it is, Envoy, with the same answers and figures.
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { answering, type AnsweringProxy } from "../../support/envoy-proxy.ts";
import { bootstrap, cluster, httpListener } from "../../support/proxy.ts";
import { connectRaw, hasResponses, listenHttp, reply, type RawClient } from "../../support/raw-http.ts";

type Step =
  /** A request on a connection of its own; its answer is awaited unless the origin holds it, or it is queued in the proxy. */
  | {
      readonly send: string;
      readonly held?: true;
      readonly queued?: true;
      readonly status?: number;
      readonly headers?: Readonly<Record<string, string | undefined>>;
    }
  /** The origin answers every request that it holds. */
  | { readonly answer: true }
  /** Figures of the cluster. */
  | { readonly stats: Readonly<Record<string, number | undefined>> };

interface Case {
  readonly title: string;
  readonly thresholds: readonly object[];
  readonly isthmusOnly?: true;
  readonly perHost?: readonly object[];
  readonly cluster?: object;
  readonly steps: readonly Step[];
}

const overloaded = { status: 503, headers: { "x-envoy-overloaded": "true" } };
const rest = { cx_open: 0, rq_open: 0, rq_pending_open: 0, rq_retry_open: 0 };
const gauges = (priority: string, values: Readonly<Record<string, number>>): Readonly<Record<string, number>> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [`circuit_breakers.${priority}.${name}`, value]));

const autoProtocol = {
  typed_extension_protocol_options: {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      auto_config: {},
    },
  },
};

const cases: readonly Case[] = [
  {
    title: "nothing is open at rest",
    thresholds: [],
    steps: [
      { send: "/", status: 200 },
      { stats: { ...gauges("default", rest), ...gauges("high", rest), "circuit_breakers.default.remaining_cx": undefined } },
    ],
  },
  {
    title: "max_requests: asked when a request is to go on a connection",
    thresholds: [{ max_requests: 1, track_remaining: true }],
    steps: [
      { send: "/hold", held: true },
      {
        stats: gauges("default", {
          rq_open: 1,
          cx_open: 0,
          remaining_rq: 0,
          remaining_cx: 1023,
          remaining_pending: 1024,
          remaining_retries: 3,
        }),
      },
      { stats: gauges("high", { rq_open: 0 }) },
      { send: "/", ...overloaded },
      {
        stats: {
          upstream_rq_active_overflow: 1,
          upstream_rq_pending_overflow: 0,
          upstream_rq_pending_total: 2,
          upstream_rq_503: 1,
          upstream_rq_total: 1,
          upstream_cx_total: 2,
          upstream_cx_overflow: 0,
        },
      },
      { send: "/", ...overloaded },
      { stats: { upstream_rq_active_overflow: 2, upstream_cx_total: 2 } },
      { answer: true },
      { stats: gauges("default", { rq_open: 0, remaining_rq: 1 }) },
      { send: "/", status: 200 },
    ],
  },
  {
    title: "max_pending_requests",
    thresholds: [{ max_connections: 1, max_pending_requests: 1, track_remaining: true }],
    steps: [
      { send: "/hold", held: true },
      { stats: gauges("default", { cx_open: 1, remaining_cx: 0, rq_pending_open: 0, remaining_pending: 1 }) },
      { send: "/wait", queued: true },
      {
        stats: {
          ...gauges("default", { rq_pending_open: 1, remaining_pending: 0 }),
          upstream_cx_overflow: 1,
          upstream_rq_pending_active: 1,
        },
      },
      { send: "/", ...overloaded },
      { stats: { upstream_rq_pending_overflow: 1, upstream_rq_503: 1, upstream_cx_overflow: 1, upstream_cx_total: 1 } },
      { answer: true },
      {
        stats: { ...gauges("default", { rq_pending_open: 0, remaining_pending: 1, cx_open: 1 }), upstream_cx_total: 1, upstream_rq_200: 2 },
      },
    ],
  },
  {
    title: "no pending requests at all: nothing gets through without a connection",
    thresholds: [{ max_pending_requests: 0 }],
    steps: [
      { send: "/", ...overloaded },
      { stats: { ...gauges("default", { rq_pending_open: 0 }), upstream_rq_pending_overflow: 1, upstream_cx_total: 0 } },
    ],
  },
  {
    title: "no connections at all: a host without one gets one",
    thresholds: [{ max_connections: 0 }],
    steps: [
      { send: "/hold", held: true },
      { stats: { ...gauges("default", { cx_open: 1 }), upstream_cx_total: 1, upstream_cx_overflow: 1 } },
      { answer: true },
    ],
  },
  {
    // Envoy takes this with TLS only.
    isthmusOnly: true,
    title: "max_connections where ALPN decides the protocol",
    thresholds: [{ max_connections: 1 }],
    cluster: autoProtocol,
    steps: [
      { send: "/hold", held: true },
      { send: "/wait", queued: true },
      { stats: { upstream_cx_total: 1, upstream_cx_overflow: 1, upstream_rq_pending_active: 1 } },
      { answer: true },
      { stats: { upstream_rq_200: 2 } },
    ],
  },
  {
    title: "max_retries",
    thresholds: [{ max_retries: 0, track_remaining: true }],
    steps: [
      { send: "/retry/bad", status: 500, headers: { "x-envoy-overloaded": undefined } },
      { stats: { ...gauges("default", { rq_retry_open: 0 }), upstream_rq_retry_overflow: 1, upstream_rq_retry: 0, upstream_rq_total: 1 } },
    ],
  },
  {
    title: "priority HIGH has limits, connections and figures of its own",
    thresholds: [
      { max_requests: 1, track_remaining: true },
      { priority: "HIGH", max_requests: 1, track_remaining: true },
    ],
    steps: [
      { send: "/", status: 200 },
      { send: "/high/hold", held: true },
      {
        stats: {
          ...gauges("high", { rq_open: 1, remaining_rq: 0 }),
          ...gauges("default", { rq_open: 0, remaining_rq: 1 }),
          upstream_cx_total: 2,
        },
      },
      { send: "/", status: 200 },
      { send: "/high/", ...overloaded },
      { answer: true },
      { stats: gauges("high", { rq_open: 0 }) },
    ],
  },
  {
    title: "priority HIGH has the default limits where none are given",
    thresholds: [{ max_requests: 0 }],
    steps: [
      { send: "/", ...overloaded },
      { send: "/high/", status: 200 },
    ],
  },
  {
    title: "retries of priority HIGH",
    thresholds: [{ priority: "HIGH", max_retries: 0 }],
    steps: [
      { send: "/high/retry/bad", status: 500 },
      { stats: { upstream_rq_retry_overflow: 1 } },
      { send: "/retry/bad", status: 500 },
      { stats: { upstream_rq_retry_overflow: 1, upstream_rq_retry: 1 } },
    ],
  },
  {
    title: "per host: max_connections",
    thresholds: [],
    perHost: [{ max_connections: 1 }],
    steps: [
      { send: "/hold", held: true },
      { send: "/wait", queued: true },
      { stats: { upstream_cx_total: 1, upstream_cx_overflow: 1, upstream_rq_pending_active: 1 } },
      { answer: true },
      { stats: { upstream_rq_200: 2 } },
    ],
  },
];

for (const [name, start, skip] of answering) {
  suite(`circuit breakers of ${name}`, { skip }, () => {
    for (const each of cases.filter(({ isthmusOnly }) => isthmusOnly !== true || name === "isthmus"))
      test(each.title, (t) => run(t, each, start));
  });
}

async function run(
  t: TestContext,
  { thresholds, perHost, cluster: more, steps }: Case,
  start: (typeof answering)[number][1],
): Promise<void> {
  const held: (() => void)[] = [];
  const origin = await listenHttp(({ line, socket }) => {
    if (line.includes(" /hold")) held.push(() => reply(socket, "held"));
    else if (line.includes(" /bad")) reply(socket, "bad", "500 Oh");
    else reply(socket, "fine");
  });
  t.after(() => origin.close());
  const retry = { retry_policy: { retry_on: "5xx", num_retries: 1 } };
  const routes = [
    { match: { prefix: "/retry/" }, route: { cluster: "origin", prefix_rewrite: "/", ...retry } },
    { match: { prefix: "/high/retry/" }, route: { cluster: "origin", priority: "HIGH", prefix_rewrite: "/", ...retry } },
    { match: { prefix: "/high/" }, route: { cluster: "origin", priority: "HIGH", prefix_rewrite: "/" } },
    { match: { prefix: "/" }, route: { cluster: "origin" } },
  ];
  const origins = cluster("origin", origin.port, {
    circuit_breakers: { thresholds, ...(perHost && { per_host_thresholds: perHost }) },
    ...more,
  });
  const proxy = await start(t, bootstrap([httpListener("main", { routes })], [origins]));
  const waiting: RawClient[] = [];
  for (const step of steps) {
    if ("answer" in step) {
      for (const answer of held.splice(0)) answer();
      for (const client of waiting.splice(0)) await client.until(hasResponses(1));
    } else if ("stats" in step) await statsAre(proxy, step.stats);
    else {
      const client = await connectRaw(proxy.port("main"));
      t.after(() => void client.socket.destroy());
      const before = held.length;
      client.socket.write(`GET ${step.send} HTTP/1.1\r\nHost: lab\r\n\r\n`);
      if (step.queued === true) waiting.push(client);
      if (step.queued === true) continue;
      if (step.held === true) {
        waiting.push(client);
        await eventually(() => held.length > before, `${step.send} was not held`);
        continue;
      }
      const text = await client.until(hasResponses(1));
      assert.equal(Number(text.slice(9, 12)), step.status, step.send);
      for (const [field, value] of Object.entries(step.headers ?? {}))
        assert.equal(new RegExp(`^${field}: (.*)$`, "im").exec(text)?.[1], value, field);
    }
  }
}

async function statsAre(proxy: AnsweringProxy, expected: Readonly<Record<string, number | undefined>>): Promise<void> {
  let found: Record<string, number | undefined> = {};
  for (const deadline = Date.now() + 3000; Date.now() < deadline; await new Promise((resolve) => setTimeout(resolve, 10))) {
    found = {};
    for (const name of Object.keys(expected)) found[name] = await proxy.stat(`cluster.origin.${name}`);
    if (Object.keys(expected).every((name) => found[name] === expected[name])) return;
  }
  assert.deepEqual(found, expected);
}

async function eventually(condition: () => boolean, what: string): Promise<void> {
  for (const deadline = Date.now() + 3000; !condition(); await new Promise((resolve) => setTimeout(resolve, 5)))
    if (Date.now() > deadline) throw new Error(what);
}
