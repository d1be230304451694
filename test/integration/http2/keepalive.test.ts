// connection_keepalive on both sides of the proxy: PINGs are sent, answers keep the connection, silence ends it.
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { frameType, h2Error } from "../../../src/wire/http2/frame.ts";
import { connectFrames, frame, get, goawayCode } from "../../support/h2-frames.ts";
import { connectH2, listenH2, protocolOptions, requestH2 } from "../../support/h2-origin.ts";
import { until } from "../../support/mesh/until.ts";
import { bootstrap, cluster, httpListener, startTestProxy } from "../../support/proxy.ts";
import { listenHttp, listenRaw, reply } from "../../support/raw-http.ts";

const often = { interval: "0.02s", timeout: "5s", interval_jitter: { value: 0 } };
const impatient = { interval: "0.02s", timeout: "0.1s", interval_jitter: { value: 0 } };

/** A cluster that speaks HTTP/2 with these options. */
function upstreamWith(connection_keepalive: object): object {
  return protocolOptions({ explicit_http_config: { http2_protocol_options: { connection_keepalive } } });
}

async function startDownstream(t: TestContext, connection_keepalive: object) {
  const origin = await listenHttp(({ socket }) => reply(socket, "ok"));
  t.after(() => origin.close());
  const manager = { http2_protocol_options: { connection_keepalive } };
  return startTestProxy(t, bootstrap([httpListener("main", { manager })], [cluster("origin", origin.port)]));
}

suite("HTTP/2 keepalive", () => {
  test("a client that answers keeps its connection through many PINGs", async (t) => {
    const proxy = await startDownstream(t, often);
    const client = connectFrames(t, proxy.port("main"));
    for (let i = 0; i < 5; i++) {
      const ping = await client.next(({ type, flags }) => type === frameType.ping && flags === 0);
      assert.equal(ping?.payload.length, 8);
      client.send(frame(frameType.ping, 0x1, 0, ping?.payload));
    }
    client.send(get(1));
    assert.ok(await client.next(({ type, id }) => type === frameType.headers && id === 1));
    assert.equal(proxy.stat("http2.keepalive_timeout"), 0);
  });

  test("a client that answers nothing is given up", async (t) => {
    const proxy = await startDownstream(t, impatient);
    const client = connectFrames(t, proxy.port("main"));
    assert.equal(await goawayCode(client), h2Error.noError);
    await client.closed;
    assert.equal(proxy.stat("http2.keepalive_timeout"), 1);
  });

  test("an upstream that answers keeps its connection", async (t) => {
    const origin = await listenH2(t, (stream) => stream.respond({ ":status": 200 }, { endStream: true }));
    const proxy = await startTestProxy(t, bootstrap([httpListener("main")], [cluster("origin", origin.port, upstreamWith(often))]));
    const client = connectH2(t, proxy.port("main"));
    assert.equal((await requestH2(client, { ":path": "/" })).status, 200);
    let pings = 0;
    const enough = Promise.withResolvers<void>();
    origin.sessions[0]!.on("ping", () => ++pings === 5 && enough.resolve());
    await enough.promise;
    assert.equal((await requestH2(client, { ":path": "/" })).status, 200);
    assert.deepEqual([proxy.stat("cluster.origin.http2.keepalive_timeout"), origin.sessions.length], [0, 1]);
  });

  test("a request to an upstream that answers nothing ends with its connection", async (t) => {
    const origin = await listenRaw((socket) => {
      // Settings, and nothing after them.
      socket.write(frame(frameType.settings, 0, 0));
      socket.resume();
    });
    t.after(() => origin.close());
    const proxy = await startTestProxy(t, bootstrap([httpListener("main")], [cluster("origin", origin.port, upstreamWith(impatient))]));
    const { status, body } = await requestH2(connectH2(t, proxy.port("main")), { ":path": "/" });
    assert.equal(status, 503);
    assert.match(body, /reset reason: connection termination$/);
    assert.equal(proxy.stat("cluster.origin.http2.keepalive_timeout"), 1);
  });

  test("a request after silence has a PING ahead of it", async (t) => {
    const origin = await listenH2(t, (stream) => stream.respond({ ":status": 200 }, { endStream: true }));
    const idle = { connection_idle_interval: "0.001s", timeout: "5s" };
    const proxy = await startTestProxy(t, bootstrap([httpListener("main")], [cluster("origin", origin.port, upstreamWith(idle))]));
    const client = connectH2(t, proxy.port("main"));
    await requestH2(client, { ":path": "/" });
    let pings = 0;
    origin.sessions[0]!.on("ping", () => pings++);
    // How long the connection is silent between two requests is the machine's business: some are followed by a millisecond of it.
    await until("a PING comes", async () => {
      await requestH2(client, { ":path": "/" });
      return pings > 0;
    });
    assert.equal(proxy.stat("cluster.origin.http2.keepalive_timeout"), 0);
  });
});
