// How decoder tests run a decoder and read its issues as lines.
import assert from "node:assert/strict";
import { type DecodeContext, decode, type Decoder } from "../../../src/envoy/decode/cursor.ts";
import { extensions } from "../../../src/envoy/extensions.ts";
import { formatPath } from "../../../src/source/yaml-document.ts";

/** Any PEM that the decoders take for a certificate or a key; nothing parses it here. */
export const pem = {
  certificate: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
  key: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
};

/** The tables and no files. */
export const context: DecodeContext = { extensions, readFile: () => ({ error: "there is no such file" }) };

/** Issues as `severity path: message`. */
export function issuesOf<T>(decoder: Decoder<T>, json: unknown, within: DecodeContext = context): readonly string[] {
  return decode(decoder, json, within).issues.map((issue) => `${issue.severity} ${formatPath(issue.path)}: ${issue.message}`);
}

/** The value of JSON that must decode without any issue. */
export function accepted<T>(decoder: Decoder<T>, json: unknown, within: DecodeContext = context): T {
  const result = decode(decoder, json, within);
  assert.deepEqual(result.issues, []);
  assert.ok(result.ok);
  return result.value;
}

/** An Any. */
export function any(type: string, fields: object = {}): object {
  return { "@type": `type.googleapis.com/${type}`, ...fields };
}

/** A filter with a typed configuration. */
export function filter(name: string, type: string, fields: object = {}): object {
  return { name, typed_config: any(type, fields) };
}

/** A TCP address. */
export function address(ip: string, port: number): object {
  return { socket_address: { address: ip, port_value: port } };
}

/** The router. */
export const router = filter("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router");

/** A connection manager with one catch-all host that answers by itself, changed by `fields`. */
export function connectionManager(fields: object = {}): object {
  return filter(
    "envoy.filters.network.http_connection_manager",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    {
      stat_prefix: "http",
      http_filters: [router],
      route_config: {
        virtual_hosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, direct_response: { status: 200 } }] }],
      },
      ...fields,
    },
  );
}

/** A TCP proxy to `cluster`. */
export function tcpProxy(cluster: string): object {
  return filter("envoy.filters.network.tcp_proxy", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", {
    stat_prefix: "tcp",
    cluster,
  });
}

/** A STATIC cluster with one endpoint, changed by `fields`. */
export function staticCluster(name: string, fields: object = {}): object {
  return {
    name,
    type: "STATIC",
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: address("127.0.0.1", 8080) } }] }] },
    ...fields,
  };
}
