// Connections of a listener that is taken away, on sockets: they are served as before until they close, and told to.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import { decodeResources } from "../../../src/envoy/bootstrap-decoder.ts";
import { extensions } from "../../../src/envoy/extensions.ts";
import { filterSupport } from "../../../src/filter/registry.ts";
import { diffSnapshots } from "../../../src/snapshot/diff.ts";
import { buildSnapshot, type Snapshot } from "../../../src/snapshot/snapshot.ts";
import { createWorkerRuntime } from "../../../src/worker/runtime.ts";
import { listenHttp } from "../../support/raw-http.ts";
import { recordingStats } from "../../support/recording-stats.ts";
import { silentLogger } from "../../support/silent-logger.ts";
import { workerSettings } from "../../support/worker-settings.ts";

const type = "type.googleapis.com/envoy.extensions.filters";
const address = (port: number): unknown => ({ socket_address: { address: "127.0.0.1", port_value: port } });
const listener = {
  name: "going",
  address: address(0),
  listener_filters: [{ name: "sniff", typed_config: { "@type": `${type}.listener.http_inspector.v3.HttpInspector` } }],
  listener_filters_timeout: "10s",
  filter_chains: [
    {
      filters: [
        {
          name: "http",
          typed_config: {
            "@type": `${type}.network.http_connection_manager.v3.HttpConnectionManager`,
            stat_prefix: "h",
            rds: { route_config_name: "routes", config_source: { ads: {} } },
            http_filters: [{ name: "router", typed_config: { "@type": `${type}.http.router.v3.Router` } }],
          },
        },
      ],
    },
  ],
};
const routes = {
  name: "routes",
  virtual_hosts: [{ name: "v", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "a" } }] }],
};

interface Going {
  open(): Promise<Client>;
  /** Takes the listener and its routes away. */
  remove(): Promise<void>;
  /** The origin has the request for `/held`; answers it. */
  readonly held: Promise<() => void>;
  readonly stat: (name: string) => number | undefined;
}

interface Client {
  readonly socket: Socket;
  /** Sends bytes and reads a response without a body. */
  send(bytes: string): Promise<string>;
  readonly closed: Promise<unknown>;
}

/** An origin that answers at once, but `/held` when told to, behind a worker's data path. */
async function start(t: TestContext): Promise<Going> {
  const held = Promise.withResolvers<() => void>();
  const reply = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
  const origin = await listenHttp(({ line, socket }) => {
    const answer = (): void => void socket.write(reply);
    if (line.includes("/held")) held.resolve(answer);
    else answer();
  });
  t.after(() => origin.close());
  const stats = recordingStats();
  const runtime = createWorkerRuntime(workerSettings, stats, silentLogger, systemClock);
  t.after(() => runtime.stop());
  const endpoints = [{ lb_endpoints: [{ endpoint: { address: address(origin.port) } }] }];
  const clusters = [{ name: "a", type: "STATIC", load_assignment: { cluster_name: "a", endpoints } }];
  let before: Snapshot | undefined;
  const apply = async (json: Readonly<Record<string, readonly unknown[]>>): Promise<number> => {
    const decoded = decodeResources({ clusters, ...json }, { extensions });
    const { snapshot, issues } = buildSnapshot(decoded.resources, { ...filterSupport, ...(before ? { previous: before } : {}) });
    assert.deepEqual([decoded.issues, issues], [[], []]);
    const { failures, listeners } = await runtime.apply(diffSnapshots(before, snapshot));
    assert.deepEqual(failures, []);
    before = snapshot;
    return listeners[0]?.addresses[0]?.port ?? 0;
  };
  const port = await apply({ listeners: [listener], routes: [routes] });
  return {
    open: () => open(t, port),
    remove: async () => void (await apply({})),
    held: held.promise,
    stat: (name) => stats.value(name),
  };
}

async function open(t: TestContext, port: number): Promise<Client> {
  const socket = connect(port, "127.0.0.1");
  t.after(() => socket.destroy());
  await once(socket, "connect");
  const closed = once(socket, "close");
  const send = async (bytes: string): Promise<string> => {
    socket.write(bytes);
    let text = "";
    while (!text.includes("\r\n\r\n")) text += String((await once(socket, "data", { signal: AbortSignal.timeout(10_000) }))[0]);
    return text;
  };
  return { socket, send, closed };
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: a.example\r\n\r\n`;
const served = /^HTTP\/1\.1 200 OK\r\n/;
const told = /\r\nconnection: close\r\n/;

test("a connection of a removed listener has its routes for one more request, which closes it", async (t) => {
  const going = await start(t);
  const client = await going.open();
  const first = await client.send(get("/1"));
  assert.match(first, served);
  assert.doesNotMatch(first, told);
  await going.remove();
  const last = await client.send(get("/2"));
  assert.match(last, served);
  assert.match(last, told);
  await client.closed;
});

test("a request that is on its way when its listener goes is told to close too", async (t) => {
  const going = await start(t);
  const client = await going.open();
  const response = client.send(get("/held"));
  const answer = await going.held;
  await going.remove();
  answer();
  const text = await response;
  assert.match(text, served);
  assert.match(text, told);
  assert.equal(going.stat("http.h.downstream_cx_drain_close"), 1);
  await client.closed;
});

test("a connection that is being inspected when its listener goes is served, and closed after that", async (t) => {
  const going = await start(t);
  const client = await going.open();
  client.socket.write("G");
  await until(() => going.stat("listener.127.0.0.1_0.downstream_pre_cx_active") === 1);
  await going.remove();
  const text = await client.send(get("/1").slice(1));
  assert.match(text, served);
  assert.match(text, told);
  await client.closed;
});

async function until(holds: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 10_000; !holds();) {
    if (Date.now() > deadline) throw new Error("did not come to be within 10 s");
    await new Promise((resolve) => void setImmediate(resolve));
  }
}
