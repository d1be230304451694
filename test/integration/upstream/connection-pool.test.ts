// Connection pool settings over real sockets, one by one: against this proxy and, where it is, Envoy, with the same figures.
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { answering, type AnsweringProxy } from "../../support/envoy-proxy.ts";
import { listenH2 } from "../../support/h2-origin.ts";
import { bootstrap, cluster, httpListener } from "../../support/proxy.ts";
import { connectRaw, hasResponses, listenHttp, reply, type RawClient } from "../../support/raw-http.ts";

interface Lab {
  readonly proxy: AnsweringProxy;
  /** Sends a GET on a connection of its own. */
  send(path: string): Promise<RawClient>;
  /** Sends a GET and gives the status of its answer. */
  get(path: string): Promise<number>;
  /** Waits until the origin holds so many requests. */
  holding(count: number): Promise<void>;
  /** The origin answers what it holds. */
  answer(): void;
  /** Waits until figures of the cluster are these. */
  figures(expected: Readonly<Record<string, number>>): Promise<void>;
}

interface Setting {
  readonly title: string;
  readonly http2?: true;
  readonly common?: object;
  readonly settings?: object;
  readonly cluster?: object;
  readonly run: (lab: Lab) => Promise<void>;
}

const settings: readonly Setting[] = [
  {
    title: "max_requests_per_connection",
    common: { max_requests_per_connection: 2 },
    run: async (lab) => {
      for (let i = 0; i < 5; i++) assert.equal(await lab.get("/"), 200);
      await lab.figures({ upstream_cx_total: 3, upstream_cx_max_requests: 2, upstream_cx_active: 1, upstream_cx_destroy_local: 2 });
    },
  },
  {
    title: "max_requests_per_connection of HTTP/2 counts streams, those at once included",
    http2: true,
    common: { max_requests_per_connection: 2 },
    run: async (lab) => {
      assert.equal(await lab.get("/"), 200);
      await lab.send("/hold");
      await lab.holding(1);
      await lab.figures({ upstream_cx_total: 1, upstream_cx_max_requests: 1 });
      assert.equal(await lab.get("/"), 200);
      await lab.figures({ upstream_cx_total: 2, upstream_cx_active: 2 });
      lab.answer();
      await lab.figures({ upstream_cx_active: 1, upstream_cx_destroy_local: 1 });
    },
  },
  {
    title: "idle_timeout",
    common: { idle_timeout: "0.2s" },
    run: async (lab) => {
      assert.equal(await lab.get("/"), 200);
      await lab.figures({ upstream_cx_idle_timeout: 1, upstream_cx_active: 0, upstream_cx_destroy_local: 1 });
    },
  },
  {
    title: "idle_timeout of HTTP/2 starts when the last stream has ended",
    http2: true,
    common: { idle_timeout: "0.3s" },
    settings: { max_concurrent_streams: 1 },
    run: async (lab) => {
      const held = await lab.send("/hold");
      await lab.holding(1);
      // A connection of its own, which is idle from now on and younger than the one that holds.
      assert.equal(await lab.get("/"), 200);
      await lab.figures({ upstream_cx_total: 2, upstream_cx_idle_timeout: 1, upstream_cx_active: 1 });
      lab.answer();
      await held.until(hasResponses(1));
      await lab.figures({ upstream_cx_idle_timeout: 2, upstream_cx_active: 0 });
    },
  },
  {
    title: "max_connection_duration closes an idle connection",
    common: { max_connection_duration: "0.2s" },
    run: async (lab) => {
      assert.equal(await lab.get("/"), 200);
      await lab.figures({ upstream_cx_max_duration_reached: 1, upstream_cx_active: 0, upstream_cx_destroy_local: 1 });
      assert.equal(await lab.get("/"), 200);
      await lab.figures({ upstream_cx_total: 2 });
    },
  },
  ...([undefined, true] as const).map((http2): Setting => ({
    title: `max_connection_duration lets a request end, ${http2 === true ? "HTTP/2" : "HTTP/1.1"}`,
    ...(http2 && { http2 }),
    common: { max_connection_duration: "0.2s" },
    run: async (lab) => {
      const held = await lab.send("/hold");
      await lab.holding(1);
      await lab.figures({ upstream_cx_max_duration_reached: 1, upstream_cx_active: 1 });
      lab.answer();
      assert.match(await held.until(hasResponses(1)), /^HTTP\/1.1 200 /);
      await lab.figures({ upstream_cx_active: 0 });
    },
  })),
  {
    title: "max_concurrent_streams: what does not fit gets another connection",
    http2: true,
    settings: { max_concurrent_streams: 1 },
    run: async (lab) => {
      await lab.send("/hold");
      await lab.holding(1);
      await lab.send("/hold");
      await lab.holding(2);
      await lab.figures({ upstream_cx_total: 2, upstream_rq_active: 2 });
      lab.answer();
      await lab.figures({ upstream_rq_active: 0, upstream_cx_active: 2 });
    },
  },
  {
    title: "http2MaxRequests (max_requests) limits streams",
    http2: true,
    cluster: { circuit_breakers: { thresholds: [{ max_requests: 2 }] } },
    run: async (lab) => {
      await lab.send("/hold");
      await lab.send("/hold");
      await lab.holding(2);
      assert.equal(await lab.get("/"), 503);
      await lab.figures({ upstream_cx_total: 1, upstream_rq_active_overflow: 1 });
      lab.answer();
      await lab.figures({ upstream_rq_active: 0 });
      assert.equal(await lab.get("/"), 200);
    },
  },
  {
    title: "connect_timeout",
    cluster: { connect_timeout: "0.2s", ...unreachable() },
    run: async (lab) => {
      assert.equal(await lab.get("/"), 503);
      await lab.figures({ upstream_cx_connect_timeout: 1, upstream_cx_connect_fail: 1, upstream_cx_active: 0 });
    },
  },
];

for (const [name, start, skip] of answering) {
  suite(`connection pools of ${name}`, { skip }, () => {
    for (const setting of settings) test(setting.title, async (t) => setting.run(await build(t, setting, start)));
  });
}

// A TLS handshake that nobody answers: connected is not enough for Envoy either.
function unreachable(): object {
  return {
    transport_socket: {
      name: "tls",
      typed_config: { "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext" },
    },
  };
}

async function build(t: TestContext, setting: Setting, start: (typeof answering)[number][1]): Promise<Lab> {
  const held: (() => void)[] = [];
  const port = await (setting.http2 === true ? http2Origin(t, held) : http1Origin(t, held));
  const codec = setting.http2 === true ? { http2_protocol_options: setting.settings ?? {} } : { http_protocol_options: {} };
  const proxy = await start(
    t,
    bootstrap(
      [httpListener("main")],
      [
        cluster("origin", port, {
          typed_extension_protocol_options: {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
              "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
              common_http_protocol_options: setting.common ?? {},
              explicit_http_config: codec,
            },
          },
          ...setting.cluster,
        }),
      ],
    ),
  );
  const send = async (path: string): Promise<RawClient> => {
    const client = await connectRaw(proxy.port("main"));
    t.after(() => void client.socket.destroy());
    client.socket.write(`GET ${path} HTTP/1.1\r\nHost: lab\r\n\r\n`);
    return client;
  };
  return {
    proxy,
    send,
    get: async (path) => {
      const client = await send(path);
      const text = await client.until(hasResponses(1));
      client.socket.destroy();
      return Number(text.slice(9, 12));
    },
    holding: (count) => eventually(() => held.length >= count, `${count} requests to be held`),
    answer: () => held.splice(0).forEach((answer) => answer()),
    figures: async (expected) => {
      let found: Record<string, number | undefined> = {};
      for (const deadline = Date.now() + 3000; Date.now() < deadline; await pause()) {
        found = {};
        for (const figure of Object.keys(expected)) found[figure] = await proxy.stat(`cluster.origin.${figure}`);
        if (Object.keys(expected).every((figure) => found[figure] === expected[figure])) return;
      }
      assert.deepEqual(found, expected);
    },
  };
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

async function eventually(condition: () => boolean, what: string): Promise<void> {
  for (const deadline = Date.now() + 3000; !condition(); await pause()) if (Date.now() > deadline) throw new Error(`waited for ${what}`);
}

async function http1Origin(t: TestContext, held: (() => void)[]): Promise<number> {
  const origin = await listenHttp(({ line, socket }) => {
    if (line.includes("/hold")) held.push(() => reply(socket, "held"));
    // A ClientHello is no request, and gets no answer.
    else if (line.startsWith("GET ")) reply(socket, "fine");
  });
  t.after(() => origin.close());
  return origin.port;
}

async function http2Origin(t: TestContext, held: (() => void)[]): Promise<number> {
  const { port } = await listenH2(t, (stream, headers) => {
    stream.respond({ ":status": 200 });
    if (headers[":path"] === "/hold") held.push(() => stream.end("held"));
    else stream.end("fine");
  });
  return port;
}
