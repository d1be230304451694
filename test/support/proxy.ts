// A whole proxy in this process, from an Envoy bootstrap: real sockets, real worker threads, ports chosen by the kernel.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createBootstrapSource } from "../../src/proxy/bootstrap-source.ts";
import type { Proxy } from "../../src/proxy.ts";
import { startForTest } from "./start-proxy.ts";

/** Where what a test starts is ended again: a TestContext is one. */
export interface Ending {
  after(end: () => Promise<void> | void): void;
}

/** A proxy under test. */
export interface TestProxy {
  readonly proxy: Proxy;
  /** The port of a listener by name. */
  port(listener: string): number;
  /** Summed value of a stat. */
  stat(name: string): number;
  /** Access-log records so far, one JSON object a line; waits until there are `count`. */
  accessLog(count: number): Promise<readonly Record<string, unknown>[]>;
}

/** Where the access log of `httpBootstrap` goes; replaced by a file of the test's own. */
export const accessLogPath = "@ACCESS_LOG@";

/** Starts a proxy and stops it when the test ends. */
export async function startTestProxy(t: Ending, bootstrap: unknown, concurrency = 1): Promise<TestProxy> {
  const folder = await mkdtemp(join(tmpdir(), "isthmus-test-"));
  const file = join(folder, "bootstrap.json");
  const log = join(folder, "access.log");
  await writeFile(file, JSON.stringify(bootstrap).replaceAll(accessLogPath, log));
  const proxy = await startForTest({ source: createBootstrapSource({ file, environment: {} }), concurrency });
  t.after(async () => {
    await proxy.stop();
    await rm(folder, { recursive: true, force: true });
  });
  const ports = new Map((await proxy.listeners()).map((listener) => [listener.name, listener.addresses[0]!.port]));
  return {
    proxy,
    port: (name) => ports.get(name) ?? 0,
    stat: (name) => proxy.stats.value(name),
    accessLog: async (count) => {
      for (const deadline = Date.now() + 5000; Date.now() < deadline;) {
        const text = await readFile(log, "utf8").catch(() => "");
        const lines = text.split("\n").filter((line) => line !== "");
        if (lines.length >= count) return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      throw new Error(`no ${count} access-log records within 5 s: ${await readFile(log, "utf8").catch(String)}`);
    },
  };
}

/** A STATIC cluster. */
export function cluster(name: string, port: number, more: object = {}): object {
  return {
    name,
    type: "STATIC",
    connect_timeout: "1s",
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } } }] }],
    },
    ...more,
  };
}

const logFormat = {
  method: "%REQ(:METHOD)%",
  path: "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
  status: "%RESPONSE_CODE%",
  flags: "%RESPONSE_FLAGS%",
  details: "%RESPONSE_CODE_DETAILS%",
  received: "%BYTES_RECEIVED%",
  sent: "%BYTES_SENT%",
  host: "%UPSTREAM_HOST%",
};

/** The access log that `TestProxy.accessLog` reads. */
export const accessLog = [
  {
    name: "envoy.access_loggers.file",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
      path: accessLogPath,
      log_format: { json_format: logFormat },
    },
  },
];

/** An HTTP listener on a free port; every path goes to cluster `origin` unless `routes` says otherwise. */
export function httpListener(
  name: string,
  options: { readonly manager?: object; readonly routes?: readonly object[]; readonly listener?: object } = {},
): object {
  return {
    name,
    address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
    filter_chains: [
      {
        filters: [
          {
            name: "hcm",
            typed_config: {
              "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
              stat_prefix: name,
              access_log: accessLog,
              http_filters: [
                { name: "router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } },
              ],
              route_config: {
                name,
                virtual_hosts: [
                  { name: "all", domains: ["*"], routes: options.routes ?? [{ match: { prefix: "/" }, route: { cluster: "origin" } }] },
                ],
              },
              ...options.manager,
            },
          },
        ],
      },
    ],
    ...options.listener,
  };
}

/** A bootstrap with these resources. */
export function bootstrap(listeners: readonly object[], clusters: readonly object[]): object {
  return { static_resources: { listeners, clusters } };
}
