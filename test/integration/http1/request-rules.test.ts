// What becomes of request lines and headers before routing, on real sockets: statuses, details and fields as Envoy has them.
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { bootstrap, cluster, httpListener, startTestProxy } from "../../support/proxy.ts";
import { connectRaw, hasResponses, listenHttp, reply } from "../../support/raw-http.ts";

interface Case {
  readonly title: string;
  readonly manager?: object;
  /** Request target; `/` by default. */
  readonly target?: string;
  /** Fields beside Host, each with its line end. */
  readonly fields?: string;
  /** What the origin got of the fields that matter; undefined: nothing arrived there. */
  readonly got?: readonly string[];
  readonly status: number;
  readonly details: string;
}

const internal = { internal_address_config: { cidr_ranges: [{ address_prefix: "127.0.0.0", prefix_len: 8 }] } };
const edge = { use_remote_address: true };
const host = "host: lab.example";
const fine = { status: 200, details: "via_upstream" };
const ids = /^[0-9a-f]{8}-[0-9a-f-]{27}$/;

const cases: readonly Case[] = [
  { title: "an empty request id is none", fields: "x-request-id:\r\n", got: [host, "x-request-id: ID"], ...fine },
  { title: "an edge makes request ids anew", manager: edge, fields: "x-request-id: mine\r\n", got: [host, "x-request-id: ID"], ...fine },
  {
    title: "an edge keeps those of internal clients",
    manager: { ...edge, ...internal },
    fields: "x-request-id: mine\r\n",
    got: [host, "x-request-id: mine"],
    ...fine,
  },
  {
    title: "an empty x-forwarded-for is no proof of an internal client",
    manager: { ...edge, ...internal },
    fields: "x-forwarded-for:\r\nx-request-id: mine\r\n",
    got: [host, "x-request-id: ID"],
    ...fine,
  },
  { title: "no protocol at all has no route", fields: "x-forwarded-proto:\r\n", status: 404, details: "route_not_found" },
  {
    title: "a scheme of one's own is told to the upstream",
    manager: { scheme_header_transformation: { scheme_to_overwrite: "http" } },
    fields: "x-forwarded-proto: https\r\n",
    got: [host, "x-forwarded-proto: http", "x-request-id: ID"],
    ...fine,
  },
  {
    title: "how long a try may take is nobody's business who is not trusted",
    fields: "x-envoy-upstream-stream-duration-ms: 1\r\n",
    got: [host, "x-request-id: ID"],
    ...fine,
  },
  {
    title: "an edge lets nobody claim an original host",
    manager: edge,
    fields: "x-envoy-original-host: other\r\n",
    got: [host, "x-request-id: ID"],
    ...fine,
  },
  {
    title: "add_user_agent names the caller's cluster",
    manager: { add_user_agent: true },
    fields: "x-envoy-downstream-service-cluster: other\r\n",
    got: [host, "x-envoy-downstream-service-cluster: ", "user-agent: ", "x-request-id: ID"],
    ...fine,
  },
  { title: "Host may not be for this hop alone", fields: "connection: host\r\n", status: 400, details: "missing_host_header" },
  {
    title: "who the client is may not be for this hop alone",
    fields: "connection: x-forwarded-for\r\nx-forwarded-for: 1.1.1.1\r\n",
    status: 400,
    details: "http1.connection_header_rejected",
  },
  { title: "the authority of a URL takes the place of Host", target: "http://other/x", got: ["host: other", "x-request-id: ID"], ...fine },
  { title: "who asks is no part of it", target: "http://me@other/x", got: ["host: other", "x-request-id: ID"], ...fine },
  { title: "a query alone is no path", target: "http://other?q", status: 404, details: "absolute_path_rejected" },
  { title: "other schemes are not served", target: "ftp://other/x", status: 400, details: "http1.invalid_scheme" },
  { title: "an asterisk is for OPTIONS", target: "*", status: 400, details: "http1.invalid_url" },
  {
    title: "URLs are paths where they are not allowed",
    manager: { http_protocol_options: { allow_absolute_url: false } },
    target: "http://other/x",
    status: 404,
    details: "absolute_path_rejected",
  },
  ...["x-envoy-max-retries: many", "x-envoy-upstream-rq-timeout-ms:", "x-envoy-retry-on: 5xx,never"].map((field): Case => ({
    title: `strict_check_headers refuses ${field}`,
    manager: {
      ...edge,
      ...internal,
      http_filters: [
        {
          name: "router",
          typed_config: {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            strict_check_headers: ["x-envoy-max-retries", "x-envoy-upstream-rq-timeout-ms", "x-envoy-retry-on"],
          },
        },
      ],
    },
    fields: `${field}\r\n`,
    status: 400,
    details: `request_headers_failed_strict_check{${field.slice(0, field.indexOf(":"))}}`,
  })),
];

const boring = /^(x-envoy-(expected-rq-timeout-ms|external-address|internal)|x-forwarded-(for|proto: http$))/;

async function ask(t: TestContext, { manager, target = "/", fields = "" }: Case) {
  const got: (readonly string[])[] = [];
  const origin = await listenHttp((request) => {
    got.push(request.fields);
    reply(request.socket, "", "200 OK");
  });
  t.after(() => origin.close());
  const proxy = await startTestProxy(t, bootstrap([httpListener("main", { manager: { ...manager } })], [cluster("origin", origin.port)]));
  const client = await connectRaw(proxy.port("main"));
  client.socket.write(`GET ${target} HTTP/1.1\r\nHost: lab.example\r\n${fields}\r\n`);
  const response = await client.until(hasResponses(1));
  client.socket.destroy();
  return { got: got[0], response, record: (await proxy.accessLog(1))[0] };
}

suite("requests before routing", () => {
  for (const wanted of cases) {
    test(wanted.title, async (t) => {
      const { got, response, record } = await ask(t, wanted);
      assert.match(response, new RegExp(`^HTTP/1.1 ${wanted.status} `));
      assert.equal(record?.["details"], wanted.details);
      // The overwritten protocol is looked at where it is the point.
      const keep = (field: string): boolean => !boring.test(field) || wanted.got?.includes(field) === true;
      const seen = got?.filter(keep).map((field) => field.replace(/(?<=^x-request-id: ).*/, (id) => (ids.test(id) ? "ID" : id)));
      assert.deepEqual(seen, wanted.got);
    });
  }
});
