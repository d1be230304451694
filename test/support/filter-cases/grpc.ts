// Calls over HTTP/2 for the filter that counts gRPC: an origin that ends them in every way, and the bootstrap in front of it.
import { connect, createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { explicitHttp2 } from "../h2-origin.ts";
import { bootstrap, cluster, type Ending, httpListener } from "../proxy.ts";
import { any } from "./case.ts";

/** A message of this many bytes, in its frame. */
export function grpcFrame(length: number): Buffer {
  const frame = Buffer.alloc(5 + length);
  frame.writeUInt32BE(length, 1);
  return frame;
}

/** One call: the pieces of its body, each in a frame of HTTP/2. */
export interface GrpcCall {
  readonly path: string;
  /** `x-mode` tells the origin how to end it, `x-status` with what. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly pieces?: readonly Buffer[];
  /** What `%FILTER_STATE(...:PLAIN)%` says; null: nothing. */
  readonly counted: string | null;
}

const mode = (name: string): { readonly headers: Readonly<Record<string, string>> } => ({ headers: { "x-mode": name } });
const status = (code: string): { readonly headers: Readonly<Record<string, string>> } => ({ headers: { "x-status": code } });

/** Calls that end in every way. */
export const grpcCalls: readonly GrpcCall[] = [
  { path: "/test.Echo/A", pieces: [grpcFrame(2), grpcFrame(3)], counted: "2,3" },
  { path: "/test.Echo/B", ...status("7"), counted: "1,3" },
  { path: "/test.Echo/B", ...mode("trailers-only"), counted: "1,0" },
  { path: "/test.Echo/B", ...mode("unavailable"), counted: "1,0" },
  { path: "/test.Echo/C", ...mode("no-status"), counted: "1,3" },
  { path: "/test.Echo/D", ...mode("no-trailers"), counted: "1,3" },
  { path: "/test.Echo/E", ...status("42"), counted: "1,3" },
  // Not the name of a method: messages are counted for the log alone.
  ...["/odd", "/a/b/c", "/a//", "//x"].map((path) => ({ path, counted: "1,3" })),
  { path: "/a.b/c?x=/1", counted: "1,3" },
  { path: "/direct/x", counted: null },
  { path: "/down/x", counted: "1,0" },
  { path: "/test.Echo/A", headers: { "content-type": "application/grpc+proto", "x-mode": "trailers-only" }, counted: "1,0" },
  {
    path: "/test.Echo/Half",
    pieces: [
      grpcFrame(2).subarray(0, 3),
      grpcFrame(2).subarray(3),
      Buffer.concat([grpcFrame(1), grpcFrame(1).subarray(0, 5)]),
      Buffer.alloc(1),
    ],
    counted: "3,3",
  },
];

/** The origin, and the listener `in` with the filter in front of it. */
export async function grpcBootstrap(t: Ending, config: object): Promise<object> {
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer();
  server.on("session", (session) => sessions.add(session));
  server.on("stream", (stream, headers) => {
    const how = headers["x-mode"];
    const type = { ":status": 200, "content-type": "application/grpc" };
    stream.on("error", () => undefined);
    stream.resume();
    stream.on("end", () => {
      if (how === "trailers-only") return stream.respond({ ...type, "grpc-status": "5" }, { endStream: true });
      if (how === "unavailable") {
        stream.respond({ ":status": 503 });
        return void stream.end("x");
      }
      stream.respond(type, { waitForTrailers: how !== "no-trailers" });
      stream.on("wantTrailers", () =>
        stream.sendTrailers(how === "no-status" ? { "x-trailer": "1" } : { "grpc-status": String(headers["x-status"] ?? "0") }),
      );
      return void stream.end(Buffer.concat([grpcFrame(3), grpcFrame(0), grpcFrame(70_000)]));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const routes = [
    { match: { prefix: "/direct" }, direct_response: { status: 200 } },
    { match: { prefix: "/down" }, route: { cluster: "down" } },
    { match: { prefix: "/" }, route: { cluster: "origin" } },
  ];
  const router = { name: "router", typed_config: any("router.v3.Router") };
  const http_filters = [{ name: "grpc_stats", typed_config: any("grpc_stats.v3.FilterConfig", config) }, router];
  const listener = JSON.stringify(httpListener("in", { routes, manager: { http_filters } }));
  const state = "envoy.filters.http.grpc_stats";
  const logged = listener.replace(
    '"json_format":{',
    `"json_format":{"counted":"%FILTER_STATE(${state}:PLAIN)%","counts":"%FILTER_STATE(${state})%",`,
  );
  return bootstrap([JSON.parse(logged) as object], [cluster("origin", port, explicitHttp2), cluster("down", 1, explicitHttp2)]);
}

/** Makes the calls in turn, on one connection. */
export async function callAll(t: Ending, port: number, calls: readonly GrpcCall[]): Promise<void> {
  const session = connect(`http://127.0.0.1:${port}`);
  t.after(() => session.destroy());
  for (const { path, headers = {}, pieces = [grpcFrame(2)] } of calls) {
    await new Promise<void>((resolve) => {
      const stream = session.request({ ":path": path, ":method": "POST", "content-type": "application/grpc", te: "trailers", ...headers });
      stream.on("error", () => undefined);
      stream.on("close", () => resolve());
      stream.resume();
      const write = (at: number): void => {
        if (stream.destroyed) return;
        if (at === pieces.length - 1) stream.end(pieces[at]);
        else stream.write(pieces[at], () => setImmediate(() => write(at + 1)));
      };
      write(0);
    });
  }
}

/** Configurations, with the counters that matter after `grpcCalls`. */
export const grpcTables: readonly { readonly name: string; readonly config: object; readonly stats: Readonly<Record<string, number>> }[] = [
  {
    name: "one set of counters a cluster",
    config: { emit_filter_state: true },
    stats: {
      "cluster.origin.grpc.total": 7,
      "cluster.origin.grpc.success": 3,
      "cluster.origin.grpc.failure": 4,
      "cluster.origin.grpc.0": 3,
      "cluster.origin.grpc.5": 2,
      "cluster.origin.grpc.7": 1,
      "cluster.origin.grpc.42": 1,
      "cluster.origin.grpc.request_message_count": 13,
      "cluster.origin.grpc.response_message_count": 21,
      "cluster.down.grpc.14": 1,
      "cluster.down.grpc.total": 1,
    },
  },
  {
    name: "counters for listed methods",
    config: { emit_filter_state: true, individual_method_stats_allowlist: { services: [{ name: "test.Echo", method_names: ["A"] }] } },
    stats: {
      "cluster.origin.grpc.test.Echo.A.total": 2,
      "cluster.origin.grpc.test.Echo.A.0": 1,
      "cluster.origin.grpc.test.Echo.A.5": 1,
      "cluster.origin.grpc.test.Echo.A.request_message_count": 3,
      "cluster.origin.grpc.total": 5,
      "cluster.origin.grpc.request_message_count": 10,
    },
  },
  {
    name: "counters for every method",
    config: { emit_filter_state: true, stats_for_all_methods: true, enable_upstream_stats: true },
    stats: {
      "cluster.origin.grpc.test.Echo.A.total": 2,
      "cluster.origin.grpc.test.Echo.B.failure": 2,
      "cluster.origin.grpc.test.Echo.C.response_message_count": 3,
      "cluster.origin.grpc.test.Echo.C.total": 0,
      "cluster.origin.grpc.a.b.c.0": 1,
      "cluster.down.grpc.down.x.total": 1,
      "cluster.origin.grpc.total": 0,
    },
  },
  {
    name: "names of services without dots",
    config: { emit_filter_state: true, stats_for_all_methods: true, replace_dots_in_grpc_service_name: true },
    stats: { "cluster.origin.grpc.test_Echo.A.total": 2, "cluster.origin.grpc.a_b.c.total": 1 },
  },
];
