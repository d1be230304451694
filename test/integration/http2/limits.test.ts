// What a client may not do over HTTP/2, and what becomes of its connection or its stream.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { frameType, h2Error } from "../../../src/wire/http2/frame.ts";
import { block, connectFrames, frame, get, getFields, goawayCode, type FrameClient } from "../../support/h2-frames.ts";
import { connectH2, requestH2 } from "../../support/h2-origin.ts";
import { bootstrap, cluster, httpListener, startTestProxy } from "../../support/proxy.ts";
import { until } from "../../support/mesh/until.ts";
import { listenHttp, listenRaw, reply } from "../../support/raw-http.ts";

const { headers, data, continuation, priority, rstStream, settings, ping, windowUpdate, goaway } = frameType;
const repeat = (count: number, make: (i: number) => Buffer): Buffer => Buffer.concat(Array.from({ length: count }, (_, i) => make(i)));
const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const post = (id: number, ...more: readonly (readonly [string, string])[]): Buffer =>
  frame(headers, 0x4, id, block([[":method", "POST"], ...getFields(...more).slice(1)]));

/** A listener whose origin never answers, so that streams stay open. */
async function silent(t: Parameters<typeof startTestProxy>[0], manager: object = {}) {
  const origin = await listenRaw((socket) => void socket.resume());
  t.after(() => origin.close());
  return startTestProxy(t, bootstrap([httpListener("main", { manager })], [cluster("origin", origin.port)]));
}

const floods: readonly (readonly [title: string, bytes: () => Buffer, code: number, stat?: string])[] = [
  [
    "streams that are opened only to be reset",
    () => repeat(600, (i) => Buffer.concat([post(2 * i + 1), frame(rstStream, 0, 2 * i + 1, uint32(8))])),
    h2Error.enhanceYourCalm,
    "http.main.downstream_rq_too_many_premature_resets",
  ],
  [
    "DATA without bytes",
    () => Buffer.concat([post(1), repeat(2, () => frame(data, 0, 1))]),
    h2Error.enhanceYourCalm,
    "http2.inbound_empty_frames_flood",
  ],
  [
    "PRIORITY",
    () => repeat(101, () => frame(priority, 0, 1, Buffer.from([0, 0, 0, 3, 0]))),
    h2Error.enhanceYourCalm,
    "http2.inbound_priority_frames_flood",
  ],
  [
    "WINDOW_UPDATE",
    () => repeat(6, () => frame(windowUpdate, 0, 0, uint32(1))),
    h2Error.enhanceYourCalm,
    "http2.inbound_window_update_frames_flood",
  ],
  [
    "tiny CONTINUATION",
    () => Buffer.concat([frame(headers, 0x1, 1, block(getFields())), repeat(20, () => frame(continuation, 0, 1, Buffer.from([0])))]),
    h2Error.enhanceYourCalm,
  ],
  [
    "CONTINUATION without an end",
    () => Buffer.concat([frame(headers, 0x1, 1), repeat(20, () => frame(continuation, 0, 1, Buffer.alloc(16_000)))]),
    h2Error.enhanceYourCalm,
  ],
  ["a block that is no HPACK", () => frame(headers, 0x5, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff])), h2Error.compressionError],
  [
    "a frame between HEADERS and CONTINUATION",
    () => Buffer.concat([frame(headers, 0x1, 1, block(getFields())), frame(ping, 0, 0, Buffer.alloc(8))]),
    h2Error.protocolError,
  ],
  ["a frame larger than allowed", () => frame(data, 0, 1, Buffer.alloc(16_385)), h2Error.frameSizeError],
];

suite("an abused HTTP/2 connection ends", () => {
  for (const [title, bytes, code, stat] of floods) {
    test(`for ${title}`, async (t) => {
      const proxy = await silent(t);
      const client = connectFrames(t, proxy.port("main"));
      client.send(bytes());
      assert.equal(await goawayCode(client), code);
      await client.closed;
      // Instruments that a worker makes late are made known to this thread a moment later.
      if (stat !== undefined) await until(`${stat} is counted`, () => proxy.stat(stat) === 1);
      assert.equal(proxy.stat("http.main.downstream_cx_protocol_error"), 1);
    });
  }

  test("for PINGs whose answers it does not read", async (t) => {
    const proxy = await silent(t);
    const client = connectFrames(t, proxy.port("main"));
    client.socket.pause();
    const pings = repeat(10_000, () => frame(ping, 0, 0, Buffer.alloc(8)));
    const ended = new Promise<void>((resolve) => {
      client.socket.on("error", () => resolve());
      client.socket.on("close", () => resolve());
    });
    const flood = (): void => {
      if (client.socket.destroyed || client.socket.writableLength > 16 << 20) return;
      client.socket.write(pings, () => setImmediate(flood));
    };
    flood();
    await ended;
    await until("the flood is counted", () => proxy.stat("http2.outbound_control_flood") === 1);
  });
});

const invalid: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
  ["connection", getFields(["connection", "close"])],
  ["transfer-encoding", getFields(["transfer-encoding", "chunked"])],
  ["te other than trailers", getFields(["te", "gzip"])],
  ["upper case", getFields(["X-A", "b"])],
  ["line feed in a value", getFields(["x-a", "b\nc: d"])],
  ["NUL in a value", getFields(["x-a", "b\0"])],
  ["space before a value", getFields(["x-a", " b"])],
  ["unknown pseudo-field", [...getFields(), [":other", "x"]]],
  ["pseudo-field after a field", [...getFields(["x-a", "b"]), [":path", "/"]]],
  ["two paths", [...getFields().slice(0, 3), [":path", "/b"]]],
  ["no path", getFields().filter(([name]) => name !== ":path")],
  ["no method", getFields().slice(1)],
  ["no scheme", getFields().filter(([name]) => name !== ":scheme")],
  ["a response's :status", [[":status", "200"], ...getFields()]],
  ["a path with a space", [...getFields().filter(([name]) => name !== ":path"), [":path", "/a b"]]],
  ["two content-lengths", getFields(["content-length", "0"], ["content-length", "0"])],
  ["content-length without a body", getFields(["content-length", "5"])],
];

suite("a malformed request", () => {
  test("ends the connection, as Envoy does by default", async (t) => {
    const proxy = await silent(t);
    for (const [title, fields] of invalid) {
      const client = connectFrames(t, proxy.port("main"));
      client.send(frame(headers, 0x5, 1, block(fields)));
      assert.equal(await goawayCode(client), h2Error.protocolError, title);
    }
    const records = await proxy.accessLog(invalid.length);
    assert.ok(records.every(({ status, flags, details }) => status === 0 && flags === "DPE" && String(details).startsWith("http2.")));
  });

  test("ends its stream alone where that is asked for", async (t) => {
    const proxy = await silent(t, { http2_protocol_options: { override_stream_error_on_invalid_http_message: true } });
    const client = connectFrames(t, proxy.port("main"));
    for (const [i, [title, fields]] of invalid.entries()) {
      client.send(frame(headers, 0x5, 2 * i + 1, block(fields)));
      const reset = await client.next(({ type, id }) => type === rstStream && id === 2 * i + 1);
      assert.equal(reset?.payload.readUInt32BE(0), h2Error.protocolError, title);
    }
  });

  test("a body that is not as long as it said resets its stream where that is asked for", async (t) => {
    const proxy = await silent(t, { http2_protocol_options: { override_stream_error_on_invalid_http_message: true } });
    const client = connectFrames(t, proxy.port("main"));
    for (const [id, bytes] of [
      [1, 4],
      [3, 6],
    ] as const) {
      client.send(post(id, ["content-length", "5"]), frame(data, 0x1, id, Buffer.alloc(bytes)));
      const reset = await client.next((each) => each.type === rstStream && each.id === id);
      assert.equal(reset?.payload.readUInt32BE(0), h2Error.protocolError);
    }
  });
});

async function answering(t: Parameters<typeof startTestProxy>[0], manager: object = {}) {
  const origin = await listenHttp(({ socket }) => reply(socket, "ok"));
  t.after(() => origin.close());
  return startTestProxy(t, bootstrap([httpListener("main", { manager })], [cluster("origin", origin.port)]));
}

suite("limits of a stream", () => {
  const tooLarge: readonly (readonly [string, Buffer, string])[] = [
    [
      "61 KiB of header fields",
      get(1, ...Array.from({ length: 62 }, (_, i) => [`x-${i}`, "a".repeat(1000)] as const)),
      "http2.header_list_size_too_large",
    ],
    ["101 header fields", get(1, ...Array.from({ length: 97 }, (_, i) => [`x-${i}`, "a"] as const)), "http2.too_many_headers"],
  ];
  for (const [title, request, details] of tooLarge) {
    test(`${title} reset it, and the next request on the connection is served`, async (t) => {
      const proxy = await answering(t);
      const client = connectFrames(t, proxy.port("main"));
      const pieces: Buffer[] = [];
      // In frames of 16 KiB.
      for (let at = 9; at < request.length; at += 16_384) {
        const last = at + 16_384 >= request.length;
        const payload = request.subarray(at, Math.min(at + 16_384, request.length));
        pieces.push(frame(at === 9 ? headers : continuation, (last ? 0x4 : 0) | (at === 9 ? 0x1 : 0), 1, payload));
      }
      client.send(...pieces);
      const reset = await client.next(({ type, id }) => type === rstStream && id === 1);
      assert.equal(reset?.payload.readUInt32BE(0), h2Error.internalError);
      client.send(get(3));
      const answer = await client.next(({ type, id }) => type === headers && id === 3);
      assert.equal(client.fields(answer!)[":status"], "200");
      const [record] = await proxy.accessLog(2);
      assert.deepEqual([record!["status"], record!["flags"], record!["details"]], [0, "DR", details]);
    });
  }

  test("streams past max_concurrent_streams are refused", async (t) => {
    const proxy = await silent(t, { http2_protocol_options: { max_concurrent_streams: 2 } });
    const client = connectFrames(t, proxy.port("main"));
    const first = await client.next(({ type, flags }) => type === settings && flags === 0);
    assert.ok(first!.payload.includes(Buffer.from([0, 3, 0, 0, 0, 2])));
    client.send(get(1), get(3), get(5));
    const reset = await client.next(({ type }) => type === rstStream);
    assert.deepEqual([reset!.id, reset!.payload.readUInt32BE(0)], [5, h2Error.refusedStream]);
  });

  test("bytes past its window reset it", async (t) => {
    const proxy = await silent(t, {
      http2_protocol_options: { initial_stream_window_size: 65_535, allow_connect: true },
      upgrade_configs: [{ upgrade_type: "websocket" }],
    });
    const client = connectFrames(t, proxy.port("main"));
    // Bytes of a tunnel that has not been agreed to wait here.
    client.send(frame(headers, 0x4, 1, block([[":method", "CONNECT"], [":protocol", "websocket"], ...getFields().slice(1)])));
    client.send(repeat(5, () => frame(data, 0, 1, Buffer.alloc(16_384))));
    const reset = await client.next(({ type }) => type === rstStream);
    assert.equal(reset?.payload.readUInt32BE(0), h2Error.flowControlError);
  });
});

suite("the end of a connection", () => {
  const read = async (client: FrameClient, id: number): Promise<string | undefined> => {
    const answer = await client.next((each) => each.type === headers && each.id === id);
    return answer && client.fields(answer)[":status"];
  };

  test("max_requests_per_connection: two GOAWAYs, and what comes in between is served", async (t) => {
    const proxy = await answering(t, { drain_timeout: "0.3s", common_http_protocol_options: { max_requests_per_connection: 1 } });
    const client = connectFrames(t, proxy.port("main"));
    client.send(get(1));
    const notice = await client.next(({ type }) => type === goaway);
    assert.deepEqual([notice!.payload.readUInt32BE(0), notice!.payload.readUInt32BE(4)], [0x7fff_ffff, h2Error.noError]);
    assert.equal(await read(client, 1), "200");
    client.send(get(3));
    assert.equal(await read(client, 3), "200");
    const last = await client.next(({ type }) => type === goaway);
    assert.deepEqual([last!.payload.readUInt32BE(0), last!.payload.readUInt32BE(4)], [3, h2Error.noError]);
    await client.closed;
  });

  test("an answer that comes before the request is complete tells the client to stop", async (t) => {
    const proxy = await answering(t, {
      route_config: {
        name: "direct",
        virtual_hosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, direct_response: { status: 403 } }] }],
      },
    });
    const client = connectFrames(t, proxy.port("main"));
    client.send(post(1));
    assert.equal(await read(client, 1), "403");
    const reset = await client.next(({ type }) => type === rstStream);
    assert.equal(reset?.payload.readUInt32BE(0), h2Error.noError);
    // What was under way is dropped in silence.
    client.send(frame(data, 0x1, 1, Buffer.alloc(10)), get(3));
    assert.equal(await read(client, 3), "403");
  });

  test("a client that goes away leaves nothing behind", async (t) => {
    const proxy = await silent(t);
    const client = connectH2(t, proxy.port("main"));
    const answer = requestH2(client, { ":path": "/" });
    client.once("remoteSettings", () => setImmediate(() => client.destroy()));
    await answer;
    const [record] = await proxy.accessLog(1);
    assert.deepEqual([record!["flags"], record!["details"]], ["DC", "downstream_remote_disconnect"]);
    assert.deepEqual([proxy.stat("http.main.downstream_rq_active"), proxy.stat("http2.streams_active")], [0, 0]);
  });
});
