// Two whole proxies with mutual TLS between them, each with a certificate from where a test says, an origin behind the second, and
// load through both that counts every request that did not come back with 200.
import { once } from "node:events";
import { Agent, createServer, get } from "node:http";
import type { AddressInfo } from "node:net";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "../../../src/clock.ts";
import { createBootstrapSource } from "../../../src/proxy/bootstrap-source.ts";
import { startProxy, type Proxy } from "../../../src/proxy.ts";
import type { WorkloadOrigin } from "../../../src/proxy/workload-origin.ts";
import { createProcessLogger } from "../../../src/telemetry/pino-logger.ts";
import { temporaryFolder, type Ending } from "./authorities.ts";

const types = "type.googleapis.com/envoy.extensions";

/** One end. */
export interface End {
  readonly origin: WorkloadOrigin | undefined;
  /** In place of the SDS references to `default` and `ROOTCA`. */
  readonly common?: object;
  /** More of `static_resources`. */
  readonly clusters?: readonly object[];
}

/** A running end. */
export interface RunningEnd {
  readonly proxy: Proxy;
  readonly port: number;
  /** The process log of the main thread. */
  log(): string;
  /** Resolves when the log matches. */
  saw(pattern: RegExp, times?: number): Promise<void>;
  /** The access log. */
  access(): Promise<string>;
}

/** What came back. */
export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** The pair. */
export interface MtlsPair {
  readonly client: RunningEnd;
  readonly server: RunningEnd;
  /** One request through both, on a connection of its own. */
  ask(): Promise<Answer>;
  /** Sends requests over a few connections until `end` settles, and some in any case; gives what went wrong. */
  load(end: Promise<unknown>): Promise<{ readonly failures: readonly string[] }>;
}

/** A slow machine may have got through few when something else has ended. */
const fewestRequests = 40;

const workloadSecrets = {
  tls_certificate_sds_secret_configs: [{ name: "default" }],
  validation_context_sds_secret_config: { name: "ROOTCA" },
};

/** Access logs of this file have the reasons of both sides. */
const reasons = "%RESPONSE_CODE% %RESPONSE_FLAGS% up=%UPSTREAM_TRANSPORT_FAILURE_REASON% down=%DOWNSTREAM_TRANSPORT_FAILURE_REASON%\n";

/** Starts an end in this process. */
export async function startEnd(t: Ending, role: "client" | "server", upstream: number, end: End): Promise<RunningEnd> {
  const folder = temporaryFolder(t);
  const file = join(folder, "bootstrap.json");
  const accessFile = join(folder, "access.log");
  await writeFile(file, endBootstrap(role, upstream, end, accessFile));
  let log = "";
  const logger = createProcessLogger({ level: "info", style: "text", write: (line) => (log += line) });
  const started = await startProxy(
    {
      source: createBootstrapSource({ file, environment: {} }),
      concurrency: 1,
      admin: { address: "127.0.0.1", port: 0 },
      dns: undefined,
      dnsForward: undefined,
      certsFolder: undefined,
      workload: end.origin,
      drainTimeMs: 0,
      accessLogFlushMs: 1,
      logLevel: "error",
      logStyle: "text",
      version: "test",
      watch: true,
    },
    { clock: systemClock, logger },
  );
  if (!started.ok) throw new Error(started.problems.join("\n"));
  const { proxy } = started;
  t.after(() => proxy.stop());
  const [listener] = await proxy.listeners();
  return {
    proxy,
    port: listener!.addresses[0]!.port,
    log: () => log,
    saw: (pattern, times = 1) =>
      until(
        `${times} of ${String(pattern)} in the log`,
        () => (log.match(new RegExp(pattern, "g")) ?? []).length >= times,
        () => log,
      ),
    access: () => readFile(accessFile, "utf8").catch(() => ""),
  };
}

/** Starts both ends and the origin. */
export async function startPair(t: Ending, ends: { readonly client: End; readonly server: End }): Promise<MtlsPair> {
  const origin = createServer((request, response) => response.end(String(request.headers["x-forwarded-client-cert"] ?? "")));
  origin.listen(0, "127.0.0.1");
  await once(origin, "listening");
  t.after(() => {
    origin.closeAllConnections();
    origin.close();
  });
  const server = await startEnd(t, "server", (origin.address() as AddressInfo).port, ends.server);
  const client = await startEnd(t, "client", server.port, ends.client);
  const fresh = new Agent({ keepAlive: false });
  const ask = (agent: Agent = fresh): Promise<Answer> => request(client.port, agent);
  return {
    client,
    server,
    ask: () => ask(),
    load: async (end) => {
      let ended = false;
      void end.then(
        () => (ended = true),
        () => (ended = true),
      );
      let requests = 0;
      const failures: string[] = [];
      // Half of them make a connection a request, through both proxies: those see every version of the certificates.
      const agents = [new Agent({ keepAlive: true, maxSockets: 1 }), new Agent({ keepAlive: true, maxSockets: 1 }), fresh, fresh];
      await Promise.all(
        agents.map(async (agent) => {
          while (!ended || requests < fewestRequests) {
            requests++;
            const answer = await ask(agent).catch((error: unknown) => ({ status: 0, body: String(error) }));
            if (answer.status !== 200) failures.push(`${answer.status} ${answer.body}`);
          }
        }),
      );
      for (const agent of agents) agent.destroy();
      await end;
      return { failures };
    },
  };
}

function request(port: number, agent: Agent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    get({ host: "127.0.0.1", port, agent, path: "/", timeout: 10_000 }, (response) => {
      let body = "";
      response.on("data", (chunk: Buffer) => (body += chunk.toString()));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
    }).on("error", reject);
  });
}

/** Waits for a condition, for half a minute at most. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, otherwise: () => string = () => ""): Promise<void> {
  for (const end = Date.now() + 30_000; !(await condition());) {
    if (Date.now() > end) throw new Error(`not within 30 s: ${what}\n${otherwise()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The bootstrap of an end as text; `access` is where its access log goes. */
export function endBootstrap(role: "client" | "server", upstream: number, end: Omit<End, "origin">, access: string): string {
  return JSON.stringify(bootstrapOf(role, upstream, end, access));
}

function bootstrapOf(
  role: "client" | "server",
  upstream: number,
  { common = workloadSecrets, clusters = [] }: Omit<End, "origin">,
  access: string,
): object {
  const tls = (name: "Upstream" | "Downstream", more: object): object => ({
    transport_socket: {
      name: "tls",
      typed_config: { "@type": `${types}.transport_sockets.tls.v3.${name}TlsContext`, common_tls_context: common, ...more },
    },
  });
  const accessLog = [
    {
      name: "file",
      typed_config: {
        "@type": `${types}.access_loggers.file.v3.FileAccessLog`,
        path: access,
        log_format: { text_format_source: { inline_string: reasons } },
      },
    },
  ];
  const manager = {
    "@type": `${types}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: role,
    access_log: accessLog,
    ...(role === "server"
      ? { forward_client_cert_details: "SANITIZE_SET", set_current_client_cert_details: { uri: true } }
      : // A connection a request on the second leg too, as far as a proxy does that at all.
        { common_http_protocol_options: { max_requests_per_connection: 3 } }),
    http_filters: [{ name: "router", typed_config: { "@type": `${types}.filters.http.router.v3.Router` } }],
    route_config: {
      name: role,
      virtual_hosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "next" } }] }],
    },
  };
  return {
    static_resources: {
      listeners: [
        {
          name: role,
          access_log: accessLog,
          address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
          filter_chains: [
            {
              filters: [{ name: "hcm", typed_config: manager }],
              ...(role === "server" ? tls("Downstream", { require_client_certificate: true }) : {}),
            },
          ],
        },
      ],
      clusters: [
        {
          name: "next",
          type: "STATIC",
          connect_timeout: "5s",
          load_assignment: {
            cluster_name: "next",
            endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: upstream } } } }] }],
          },
          ...(role === "client"
            ? {
                ...tls("Upstream", { sni: "server.test" }),
                typed_extension_protocol_options: {
                  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": `${types}.upstreams.http.v3.HttpProtocolOptions`,
                    common_http_protocol_options: { max_requests_per_connection: 5 },
                    explicit_http_config: { http_protocol_options: {} },
                  },
                },
              }
            : {}),
        },
        ...clusters,
      ],
    },
  };
}
