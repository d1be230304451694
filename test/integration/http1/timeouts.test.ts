// Timeouts of attempts and calls on real sockets: what the client gets, what the log says, what the upstream is told.
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { connectH2, explicitHttp2, listenH2, protocolOptions, requestH2 } from "../../support/h2-origin.ts";
import { bootstrap, cluster, httpListener, startTestProxy } from "../../support/proxy.ts";
import { connectRaw, hasResponses, listenHttp, reply } from "../../support/raw-http.ts";

const duration = (maxStreamDuration: string): object =>
  protocolOptions({
    common_http_protocol_options: { max_stream_duration: maxStreamDuration },
    explicit_http_config: { http_protocol_options: {} },
  });

/** An origin that answers nothing to `/silent`, half a body to `/half`, and the first request never where the route retries. */
async function lab(t: TestContext, options: { readonly route?: object; readonly manager?: object; readonly cluster?: object }) {
  const fields: (readonly string[])[] = [];
  const origin = await listenHttp((request) => {
    fields.push(request.fields);
    if (request.line.includes("/half")) request.socket.write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
    else if (!request.line.includes("/silent") && !(request.line.includes("/second") && fields.length === 1)) reply(request.socket, "all");
  });
  t.after(() => origin.close());
  const routes = [{ match: { prefix: "/" }, route: { cluster: "origin", ...options.route } }];
  const proxy = await startTestProxy(
    t,
    bootstrap([httpListener("main", { routes, manager: { ...options.manager } })], [cluster("origin", origin.port, options.cluster)]),
  );
  const ask = async (path: string, more = "", body = ""): Promise<string> => {
    const client = await connectRaw(proxy.port("main"));
    t.after(() => client.socket.destroy());
    client.socket.write(`${body === "" ? "GET" : "POST"} ${path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n${more}\r\n${body}`);
    await client.ended;
    return client.received;
  };
  return { proxy, ask, fields };
}

suite("max_stream_duration of a cluster", () => {
  const limited = { cluster: duration("0.1s") };

  test("ends an attempt that takes longer, with a flag of its own", async (t) => {
    const { ask, proxy } = await lab(t, limited);
    assert.match(await ask("/silent"), /^HTTP\/1\.1 504 [^]*upstream max stream duration reached$/);
    const { details, flags } = (await proxy.accessLog(1))[0]!;
    assert.deepEqual([details, flags], ["upstream_max_stream_duration_reached", "UMSDR"]);
    assert.equal(proxy.stat("cluster.origin.upstream_rq_max_duration_reached"), 1);
  });

  test("is the client's fault while its request is not complete", async (t) => {
    const { ask } = await lab(t, limited);
    assert.match(await ask("/silent", "Content-Length: 9\r\n", "half"), /^HTTP\/1\.1 408 /);
  });

  test("breaks a response off", async (t) => {
    const { ask, proxy } = await lab(t, limited);
    assert.match(await ask("/half"), /^HTTP\/1\.1 200 [^]*\r\n\r\nhalf$/);
    assert.deepEqual((await proxy.accessLog(1))[0]!["flags"], "UMSDR");
  });

  test("is followed by another attempt where the route says so", async (t) => {
    const { ask } = await lab(t, { ...limited, route: { retry_policy: { retry_on: "reset" } } });
    assert.match(await ask("/second"), /^HTTP\/1\.1 200 /);
  });

  test("is what a trusted client says by header", async (t) => {
    const manager = {
      use_remote_address: true,
      internal_address_config: { cidr_ranges: [{ address_prefix: "127.0.0.0", prefix_len: 8 }] },
    };
    const { ask, fields } = await lab(t, { manager });
    assert.match(await ask("/silent", "X-Envoy-Upstream-Stream-Duration-Ms: 50\r\n"), /^HTTP\/1\.1 504 [^]*stream duration reached$/);
    assert.ok(fields[0]!.every((field) => !field.startsWith("x-envoy-upstream-stream-duration")));
  });
});

suite("request_timeout", () => {
  const manager = { request_timeout: "0.2s" };

  test("begins with a request's first byte", async (t) => {
    const { proxy } = await lab(t, { manager });
    const client = await connectRaw(proxy.port("main"));
    client.socket.write("GET /");
    await client.ended;
    assert.match(client.received, /^HTTP\/1\.1 408 Request Timeout\r\n[^]*\r\n\r\nrequest timeout$/);
    const { details, flags, method } = (await proxy.accessLog(1))[0]!;
    assert.deepEqual([details, flags, method], ["request_overall_timeout", "-", null]);
    const counted = ["rq_timeout", "rq_4xx", "rq_completed", "cx_protocol_error"].map((name) => proxy.stat(`http.main.downstream_${name}`));
    assert.deepEqual(counted, [1, 1, 1, 0]);
  });

  test("has gone on when the head was complete", async (t) => {
    const { proxy } = await lab(t, { manager: { request_timeout: "0.4s" } });
    const client = await connectRaw(proxy.port("main"));
    const started = performance.now();
    client.socket.write("POST / HTTP/1.1\r\n");
    setTimeout(() => client.socket.write("Host: lab\r\nContent-Length: 9\r\n\r\nhalf"), 250);
    assert.match(await client.until(hasResponses(1)), /^HTTP\/1\.1 408 /);
    client.socket.destroy();
    // 650 ms if it had begun with the head's end.
    assert.ok(performance.now() - started < 600);
  });

  test("a head that ends in time is served", async (t) => {
    const { ask } = await lab(t, { manager });
    assert.match(await ask("/"), /^HTTP\/1\.1 200 /);
  });

  for (const sent of ["G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: lab\r\n"]) {
    test(`a client that leaves after ${JSON.stringify(sent)} has a record and no completed request`, async (t) => {
      const { proxy } = await lab(t, {});
      const client = await connectRaw(proxy.port("main"));
      client.socket.end(sent);
      await client.ended;
      const { details, flags, status } = (await proxy.accessLog(1))[0]!;
      assert.deepEqual([details, flags, status], ["downstream_remote_disconnect", "DC", 0]);
      const names = ["rq_total", "rq_completed", "rq_rx_reset", "cx_destroy_active_rq", "cx_destroy_remote_active_rq"];
      assert.deepEqual(
        names.map((name) => proxy.stat(`http.main.downstream_${name}`)),
        [1, 0, 1, 1, 1],
      );
    });
  }
});

test("max_stream_duration of a route leaves no route timeout", async (t) => {
  const { ask, fields } = await lab(t, { route: { timeout: "0.01s", max_stream_duration: { max_stream_duration: "0.15s" } } });
  assert.match(await ask("/silent"), /^HTTP\/1\.1 504 [^]*downstream duration timeout$/);
  assert.ok(fields[0]!.every((field) => !field.startsWith("x-envoy-expected-rq-timeout-ms")));
});

test("per_try_idle_timeout goes on behind the response's head", async (t) => {
  const { ask, proxy } = await lab(t, { route: { retry_policy: { retry_on: "connect-failure", per_try_idle_timeout: "0.1s" } } });
  assert.match(await ask("/half"), /\r\n\r\nhalf$/);
  const { details, flags } = (await proxy.accessLog(1))[0]!;
  assert.deepEqual([details, flags], ["upstream_per_try_idle_timeout", "UT"]);
});

test("a body that is longer than the route keeps is not sent twice", async (t) => {
  for (const limit of [{ per_request_buffer_limit_bytes: 3 }, { request_body_buffer_limit: 3 }]) {
    const origin = await listenHttp(({ socket }) => reply(socket, "", "503 Busy"));
    t.after(() => origin.close());
    const routes = [{ match: { prefix: "/" }, route: { cluster: "origin", retry_policy: { retry_on: "5xx" } }, ...limit }];
    const proxy = await startTestProxy(t, bootstrap([httpListener("main", { routes })], [cluster("origin", origin.port)]));
    for (const body of ["abc", "abcd"]) {
      const client = await connectRaw(proxy.port("main"));
      client.socket.write(`POST / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      await client.ended;
    }
    assert.equal(proxy.stat("cluster.origin.upstream_rq_retry"), 1);
  }
});

const call = { ":method": "POST", ":path": "/s/m", "content-type": "application/grpc", te: "trailers" };
const told: readonly (readonly [string, object, string | undefined, string | undefined])[] = [
  ["max_grpc_timeout caps", { max_grpc_timeout: "2s" }, "5S", "2000m"],
  ["max_grpc_timeout stands in", { max_grpc_timeout: "2s" }, undefined, "2000m"],
  ["grpc_timeout_offset is taken off", { max_grpc_timeout: "2s", grpc_timeout_offset: "0.5s" }, "1S", "500m"],
  ["an offset that leaves nothing is not", { max_grpc_timeout: "2s", grpc_timeout_offset: "1s" }, "1S", "1000m"],
  ["without a limit and a header there is none", { timeout: "1s", max_grpc_timeout: "0s" }, undefined, undefined],
  ["grpc_timeout_header_max caps", { max_stream_duration: { grpc_timeout_header_max: "2s" } }, "5S", "2000m"],
  [
    "grpc_timeout_header_offset is taken off",
    { max_stream_duration: { grpc_timeout_header_max: "0s", grpc_timeout_header_offset: "1s" } },
    "5S",
    "4000m",
  ],
  ["max_stream_duration stands in", { max_stream_duration: { max_stream_duration: "3s" } }, undefined, "3000m"],
  ["a route that does not look at it leaves it alone", {}, "5S", "5S"],
];

suite("grpc-timeout as the server gets it", () => {
  for (const [title, route, asked, wanted] of told) {
    test(title, async (t) => {
      const origin = await listenH2(t, (stream, headers) => {
        stream.respond({ ":status": 200, "x-told": headers["grpc-timeout"] ?? "nothing" });
        stream.end();
      });
      const routes = [{ match: { prefix: "/" }, route: { cluster: "origin", ...route } }];
      const proxy = await startTestProxy(t, bootstrap([httpListener("main", { routes })], [cluster("origin", origin.port, explicitHttp2)]));
      const session = connectH2(t, proxy.port("main"));
      const { headers } = await requestH2(session, { ...call, ...(asked && { "grpc-timeout": asked }) });
      assert.equal(headers["x-told"], wanted ?? "nothing");
    });
  }
});
