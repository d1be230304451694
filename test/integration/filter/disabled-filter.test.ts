// A filter that a route switches off has no part in its requests: no hook sees them, whichever part of a message it is for.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bootstrap, cluster, httpListener, startTestProxy } from "../../support/proxy.ts";
import { connectRaw, listenHttp } from "../../support/raw-http.ts";

const name = "envoy.filters.http.header_mutation";
const type = "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation";
const router = { name: "router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } };
const mark = (key: string): readonly object[] => [{ append: { header: { key, value: "1" } } }];
const mutations = {
  request_mutations: mark("x-rq"),
  request_trailers_mutations: mark("x-rq-trailer"),
  response_mutations: mark("x-rs"),
  response_trailers_mutations: mark("x-rs-trailer"),
};
const marks = ["x-rq", "x-rq-trailer", "x-rs", "x-rs-trailer"];
const flag = "type.googleapis.com/envoy.config.route.v3.FilterConfig";
const off = { [name]: { "@type": flag, disabled: true } };
const on = { [name]: { "@type": flag, config: {} } };

const cases: readonly {
  readonly name: string;
  readonly filter: object;
  readonly host: object;
  readonly route: object;
  readonly seen: readonly string[];
}[] = [
  { name: "on", filter: {}, host: {}, route: {}, seen: marks },
  { name: "switched off by the route", filter: {}, host: {}, route: off, seen: [] },
  { name: "switched off by the virtual host", filter: {}, host: off, route: {}, seen: [] },
  { name: "off in the chain", filter: { disabled: true }, host: {}, route: {}, seen: [] },
  { name: "off in the chain, switched on by the route", filter: { disabled: true }, host: {}, route: on, seen: marks },
];

for (const { name: title, filter, host, route, seen } of cases) {
  test(`a filter that is ${title}`, async (t) => {
    const requests: string[] = [];
    const origin = await listenHttp(({ fields, body, socket }) => {
      requests.push([...fields, body].join("\r\n"));
      socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-end: 1\r\n\r\n");
    });
    t.after(() => origin.close());
    const manager = {
      http_filters: [{ name, typed_config: { "@type": type, mutations }, ...filter }, router],
      http_protocol_options: { enable_trailers: true },
      route_config: {
        name: "r",
        virtual_hosts: [
          {
            name: "v",
            domains: ["*"],
            typed_per_filter_config: host,
            routes: [{ match: { prefix: "/" }, route: { cluster: "origin" }, typed_per_filter_config: route }],
          },
        ],
      },
    };
    const proxy = await startTestProxy(
      t,
      bootstrap(
        [httpListener("main", { manager })],
        [cluster("origin", origin.port, { http_protocol_options: { enable_trailers: true } })],
      ),
    );
    const client = await connectRaw(proxy.port("main"));
    client.socket.write("POST / HTTP/1.1\r\nhost: lab\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nx-first: 1\r\n\r\n");
    const response = await client.until((text) => /\r\n0\r\n[^]*\r\n\r\n$/.test(text));
    client.socket.destroy();
    const both = `${requests.join("")}\r\n${response}`;
    // The trailers that are nobody's came through, so the others could have.
    assert.match(both, /x-first: 1/);
    assert.match(both, /x-end: 1/);
    assert.deepEqual(
      marks.filter((field) => both.includes(`\r\n${field}: 1\r\n`)),
      seen,
    );
  });
}
