// Compression and decompression through a whole proxy, with real sockets on both sides.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createServer, request, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { suite, test, type TestContext } from "node:test";
import { brotliDecompressSync, brotliCompressSync, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { connectH2, explicitHttp2, listenH2, requestH2 } from "../../support/h2-origin.ts";
import { bootstrap, cluster, httpListener, startTestProxy, type TestProxy } from "../../support/proxy.ts";
import { connectRaw, listenRaw } from "../../support/raw-http.ts";

const router = { name: "router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } };
const library = (coding: string, way: string): object => ({
  name: "lib",
  typed_config: {
    "@type": `type.googleapis.com/envoy.extensions.compression.${coding}.${way}.v3.${coding[0]!.toUpperCase()}${coding.slice(1)}`,
  },
});
const compressor = (coding: string, more: object = {}): object => ({
  name: coding,
  typed_config: {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor",
    compressor_library: library(coding, "compressor"),
    ...more,
  },
});
const decompressor = (coding: string, more: object = {}): object => ({
  name: `un${coding}`,
  typed_config: {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.decompressor.v3.Decompressor",
    decompressor_library: library(coding, "decompressor"),
    ...more,
  },
});
const text = "hello isthmus ".repeat(50);
const read: Readonly<Record<string, (body: Buffer) => Buffer>> = { gzip: gunzipSync, br: brotliDecompressSync, zstd: zstdDecompressSync };

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

function collect(message: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    message.on("data", (piece: Buffer) => pieces.push(piece));
    message.on("end", () => resolve(Buffer.concat(pieces)));
    message.on("error", reject);
  });
}

function ask(port: number, headers: object, body?: Buffer, path = "/"): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const asked = request({ port, path, method: body === undefined ? "GET" : "POST", headers: { ...headers }, agent: false });
    asked.on("error", reject);
    asked.on("response", (response) => {
      collect(response).then((bytes) => resolve({ status: response.statusCode!, headers: response.headers, body: bytes }), reject);
    });
    asked.end(body);
  });
}

interface Lab {
  readonly proxy: TestProxy;
  readonly port: number;
  readonly seen: { readonly headers: IncomingHttpHeaders; readonly body: Buffer }[];
}

/** An origin that answers with these headers and this body. */
async function lab(
  t: TestContext,
  filters: readonly object[],
  headers: object,
  body: Buffer | string = text,
  routes?: readonly object[],
  status = 200,
): Promise<Lab> {
  const seen: Lab["seen"] = [];
  const origin = createServer((asked, response) => {
    void collect(asked).then((bytes) => {
      seen.push({ headers: asked.headers, body: bytes });
      response.writeHead(status, { ...headers }).end(body);
    });
  });
  await new Promise<void>((resolve) => origin.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    origin.closeAllConnections();
    origin.close();
  });
  const manager = { http_filters: [...filters, router] };
  const listener = httpListener("main", routes === undefined ? { manager } : { manager, routes });
  const proxy = await startTestProxy(t, bootstrap([listener], [cluster("origin", (origin.address() as AddressInfo).port)]));
  return { proxy, port: proxy.port("main"), seen };
}

const html = { "content-type": "text/html", "content-length": text.length };

suite("responses are compressed", () => {
  for (const [name, coding] of [
    ["gzip", "gzip"],
    ["brotli", "br"],
    ["zstd", "zstd"],
  ] as const) {
    test(`with ${name}`, async (t) => {
      const { port, proxy } = await lab(t, [compressor(name)], { ...html, etag: '"strong"', vary: "Cookie" });
      const { headers, body } = await ask(port, { "accept-encoding": coding });
      assert.deepEqual(
        [headers["content-encoding"], headers["content-length"], headers["vary"], headers["etag"]],
        [coding, undefined, "Cookie, Accept-Encoding", undefined],
      );
      assert.equal(read[coding]!(body).toString(), text);
      await proxy.accessLog(1);
      const scope = `http.main.compressor.lib.${name}`;
      assert.equal(proxy.stat(`${scope}.compressed`), 1);
      assert.equal(proxy.stat(`${scope}.header_compressor_used`), 1);
      assert.equal(proxy.stat(`${scope}.total_uncompressed_bytes`), text.length);
      assert.equal(proxy.stat(`${scope}.total_compressed_bytes`), body.length);
    });
  }

  const gzip = (response: object, more: object = {}): object => compressor("gzip", { response_direction_config: response, ...more });
  const allowed = { "accept-encoding": "gzip" };
  const vary = "Accept-Encoding";
  for (const [title, filter, asked, headers, status, coding, varies, stat] of [
    ["not without Accept-Encoding", compressor("gzip"), {}, html, 200, undefined, vary, "no_accept_header"],
    ["not when the client refuses", compressor("gzip"), { "accept-encoding": "gzip;q=0" }, html, 200, undefined, vary, "header_not_valid"],
    [
      "not what is short",
      compressor("gzip", { content_length: 701 }),
      allowed,
      html,
      200,
      undefined,
      undefined,
      "content_length_too_small",
    ],
    ["exactly as long as asked for", compressor("gzip", { content_length: 700 }), allowed, html, 200, "gzip", vary, "compressed"],
    ["of unknown length", compressor("gzip"), allowed, { "content-type": "text/html" }, 200, "gzip", vary, "compressed"],
    ["not images", compressor("gzip"), allowed, { ...html, "content-type": "image/png" }, 200, undefined, undefined, "not_compressed"],
    [
      "of listed types alone",
      gzip({ common_config: { content_type: ["image/png"] } }),
      allowed,
      { ...html, "content-type": "image/png; a=b" },
      200,
      "gzip",
      vary,
      "response.compressed",
    ],
    [
      "not what may not be changed",
      compressor("gzip"),
      allowed,
      { ...html, "cache-control": "private, no-transform" },
      200,
      undefined,
      undefined,
      "not_compressed",
    ],
    ["not what is coded already", compressor("gzip"), allowed, { ...html, "content-encoding": "x" }, 200, "x", undefined, "not_compressed"],
    [
      "not with an ETag, where that is asked for",
      gzip({ disable_on_etag_header: true }),
      allowed,
      { ...html, etag: 'W/"w"' },
      200,
      undefined,
      undefined,
      "not_compressed_etag",
    ],
    [
      "not with some statuses",
      gzip({ uncompressible_response_codes: [206] }),
      allowed,
      html,
      206,
      undefined,
      undefined,
      "response.not_compressed",
    ],
    [
      "not when switched off",
      gzip({ common_config: { enabled: { default_value: false, runtime_key: "k" } } }),
      allowed,
      html,
      200,
      undefined,
      undefined,
      "response.not_compressed",
    ],
  ] as const) {
    test(title, async (t) => {
      const { port, proxy } = await lab(t, [filter], headers, text, undefined, status);
      const response = await ask(port, asked);
      assert.equal(response.headers["content-encoding"], coding);
      assert.equal(response.headers["vary"], varies);
      assert.equal((coding === "gzip" ? gunzipSync(response.body) : response.body).toString(), text);
      await proxy.accessLog(1);
      assert.equal(proxy.stat(`http.main.compressor.lib.gzip.${stat}`), 1);
    });
  }

  test("by the compressor that the client likes best, and the status header says how", async (t) => {
    const status = { response_direction_config: { status_header_enabled: true, weaken_etag_on_compress: true } };
    const { port, proxy } = await lab(t, [compressor("gzip", status), compressor("brotli", status)], { ...html, etag: '"a"' });
    const response = await ask(port, { "accept-encoding": "gzip;q=0.5, br" });
    assert.equal(brotliDecompressSync(response.body).toString(), text);
    assert.equal(response.headers["x-envoy-compression-status"], "br;Compressed;OriginalLength=700");
    assert.equal(response.headers["etag"], 'W/"a"');
    await proxy.accessLog(1);
    assert.equal(proxy.stat("http.main.compressor.lib.brotli.header_compressor_used"), 1);
  });

  test("as their routes say, which also decide whether the upstream sees Accept-Encoding", async (t) => {
    const type = "type.googleapis.com/envoy.extensions.filters.http.compressor.v3.CompressorPerRoute";
    const to = (path: string, config?: object): object => ({
      match: { prefix: path },
      route: { cluster: "origin" },
      ...(config && { typed_per_filter_config: { gzip: { "@type": type, ...config } } }),
    });
    const routes = [
      to("/off", { disabled: true }),
      to("/keep", { overrides: { response_direction_config: { remove_accept_encoding_header: false } } }),
      to("/library", { overrides: { compressor_library: library("brotli", "compressor") } }),
      {
        ...to("/generic"),
        typed_per_filter_config: { gzip: { "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", disabled: true } },
      },
      to("/"),
    ];
    const filter = compressor("gzip", { remove_accept_encoding_header: true });
    const { port, seen } = await lab(t, [filter], html, text, routes);
    const codings: unknown[] = [];
    for (const path of ["/off", "/keep", "/library", "/generic", "/"])
      codings.push(
        (await ask(port, { "accept-encoding": path === "/library" ? "gzip;q=0.5, br" : "gzip" }, undefined, path)).headers[
          "content-encoding"
        ],
      );
    assert.deepEqual(codings, [undefined, "gzip", "br", undefined, "gzip"]);
    assert.deepEqual(
      seen.map(({ headers }) => headers["accept-encoding"]),
      ["gzip", "gzip", undefined, "gzip", undefined],
    );
  });
});

test("requests are compressed where that is configured", async (t) => {
  const filter = compressor("gzip", { request_direction_config: { common_config: { min_content_length: 10 } } });
  const { port, proxy, seen } = await lab(t, [filter], html);
  await ask(port, { "content-type": "text/plain" }, Buffer.from(text));
  await ask(port, { "content-type": "text/plain" }, Buffer.from("short"));
  assert.deepEqual([seen[0]!.headers["content-encoding"], seen[0]!.headers["content-length"]], ["gzip", undefined]);
  assert.equal(gunzipSync(seen[0]!.body).toString(), text);
  assert.deepEqual([seen[1]!.headers["content-encoding"], seen[1]!.body.toString()], [undefined, "short"]);
  await proxy.accessLog(2);
  assert.equal(proxy.stat("http.main.compressor.lib.gzip.request.compressed"), 1);
  assert.equal(proxy.stat("http.main.compressor.lib.gzip.request.content_length_too_small"), 1);
});

suite("responses are decompressed", () => {
  const packed = gzipSync(text);
  const common = (config: object): object => ({ response_direction_config: { common_config: config } });
  for (const [title, filter, headers, body, coding, expected, stat] of [
    ["gzip", decompressor("gzip"), { "content-encoding": "gzip" }, packed, undefined, text, "gzip.response.decompressed"],
    [
      "brotli",
      decompressor("brotli"),
      { "content-encoding": "br" },
      brotliCompressSync(text),
      undefined,
      text,
      "brotli.response.decompressed",
    ],
    ["zstd", decompressor("zstd"), { "content-encoding": "zstd" }, zstdCompressSync(text), undefined, text, "zstd.response.decompressed"],
    [
      "the first of several codings",
      decompressor("gzip"),
      { "content-encoding": "gzip, x" },
      packed,
      "x",
      text,
      "gzip.response.decompressed",
    ],
    [
      "not another's",
      decompressor("gzip"),
      { "content-encoding": "x, gzip" },
      packed,
      "x, gzip",
      packed.toString("latin1"),
      "gzip.response.not_decompressed",
    ],
    [
      "not what may not be changed",
      decompressor("gzip"),
      { "content-encoding": "gzip", "cache-control": "no-transform" },
      packed,
      "gzip",
      packed.toString("latin1"),
      "gzip.response.not_decompressed",
    ],
    [
      "that too where it does not matter",
      decompressor("gzip", common({ ignore_no_transform_header: true })),
      { "content-encoding": "gzip", "cache-control": "no-transform" },
      packed,
      undefined,
      text,
      "gzip.response.decompressed",
    ],
    [
      "not when switched off",
      decompressor("gzip", common({ enabled: { default_value: false, runtime_key: "k" } })),
      { "content-encoding": "gzip" },
      packed,
      "gzip",
      packed.toString("latin1"),
      "gzip.response.not_decompressed",
    ],
    [
      "bytes that are none of the coding are nothing",
      decompressor("gzip"),
      { "content-encoding": "gzip" },
      Buffer.from("no gzip at all, this is"),
      undefined,
      "",
      "gzip.decompressor_library.zlib_data_error",
    ],
  ] as const) {
    test(title, async (t) => {
      const { port, proxy } = await lab(t, [filter], headers, body);
      const response = await ask(port, {});
      assert.equal(response.headers["content-encoding"], coding);
      assert.equal(response.body.toString("latin1"), expected);
      await proxy.accessLog(1);
      assert.equal(proxy.stat(`http.main.decompressor.lib.${stat}`), 1);
    });
  }

  test("within max_inflate_ratio", async (t) => {
    const packed = gzipSync(Buffer.alloc(10_000_000));
    const settings = {
      name: "lib",
      typed_config: { "@type": "type.googleapis.com/envoy.extensions.compression.gzip.decompressor.v3.Gzip", max_inflate_ratio: 10 },
    };
    const { port, proxy } = await lab(
      t,
      [decompressor("gzip", { decompressor_library: settings })],
      { "content-encoding": "gzip" },
      packed,
    );
    const { body } = await ask(port, {});
    assert.ok(body.length <= packed.length * 10 + 4096, `${body.length} bytes`);
    await proxy.accessLog(1);
    assert.equal(proxy.stat("http.main.decompressor.lib.gzip.decompressor_library.zlib_data_error"), 1);
  });
});

test("requests are decompressed, and the upstream hears which coding is understood", async (t) => {
  const { port, seen } = await lab(t, [decompressor("gzip")], html);
  await ask(port, { "content-encoding": "gzip", "accept-encoding": "br, gzip;q=0.1" }, gzipSync(text));
  const { headers, body } = seen[0]!;
  assert.equal(body.toString(), text);
  assert.deepEqual([headers["content-encoding"], headers["accept-encoding"]], [undefined, "br,gzip"]);
});

test("over HTTP/2 trailers stay behind the body, and a decompressor adds its own", async (t) => {
  const packed = gzipSync(text);
  const origin = await listenH2(t, (stream, headers) => {
    const plain = headers[":path"] === "/plain";
    stream.respond(
      { ":status": 200, "content-type": "text/html", ...(plain ? {} : { "content-encoding": "gzip" }) },
      { waitForTrailers: plain },
    );
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-tail": "t" }));
    stream.end(plain ? text : packed);
  });
  const manager = { http_filters: [compressor("brotli"), decompressor("gzip"), router] };
  const proxy = await startTestProxy(t, bootstrap([httpListener("main", { manager })], [cluster("origin", origin.port, explicitHttp2)]));
  const client = connectH2(t, proxy.port("main"));
  const plain = await requestH2(client, { ":path": "/plain", ":authority": "lab" });
  assert.deepEqual([plain.body, plain.trailers?.["x-tail"], plain.code], [text, "t", 0]);
  const unpacked = await requestH2(client, { ":path": "/packed", ":authority": "lab" });
  assert.equal(unpacked.body, text);
  assert.deepEqual(
    [unpacked.trailers?.["x-envoy-decompressor-lib-compressed-bytes"], unpacked.trailers?.["x-envoy-decompressor-lib-uncompressed-bytes"]],
    [String(packed.length), "700"],
  );
  const brotli = await requestH2(client, { ":path": "/plain", ":authority": "lab", "accept-encoding": "br" });
  assert.deepEqual([brotli.headers["content-encoding"], brotli.trailers?.["x-tail"], brotli.code], ["br", "t", 0]);
});

test("a reader that is slow slows the upstream down", async (t) => {
  const piece = randomBytes(64 * 1024);
  const total = 256 * 1024 * 1024;
  let written = 0;
  const stalled = Promise.withResolvers<void>();
  const origin = await listenRaw((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n");
      const more = (): void => {
        while (written < total) {
          written += piece.length;
          if (!socket.write(piece)) {
            const before = written;
            // Nobody reads: once nothing was taken for a while, that is where it stays.
            const timer = setTimeout(() => written === before && stalled.resolve(), 1000);
            socket.once("drain", () => (clearTimeout(timer), more()));
            return;
          }
        }
        stalled.resolve();
      };
      more();
    });
  });
  t.after(() => origin.close());
  const manager = { http_filters: [compressor("gzip", { response_direction_config: {} }), router] };
  const proxy = await startTestProxy(t, bootstrap([httpListener("main", { manager })], [cluster("origin", origin.port)]));
  const client = await connectRaw(proxy.port("main"));
  client.socket.pause();
  client.socket.write("GET / HTTP/1.1\r\nhost: lab\r\naccept-encoding: gzip\r\n\r\n");
  await stalled.promise;
  assert.ok(written < 32 * 1024 * 1024, `${written} bytes left the origin although nobody reads`);
  client.socket.destroy();
});
