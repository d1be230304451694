// The ports that Kubernetes and Prometheus know a sidecar by: 15021 readiness; 15020 that, merged metrics, the application's probes
// and the ends of jobs; 15090 the proxy's own metrics.
import type { IncomingMessage } from "node:http";
import type { SocketAddress } from "../envoy/address.ts";
import { type HttpAnswer, type HttpServer, listenHttp } from "../net/http-server.ts";
import { bindProblem } from "../proxy/bind-problem.ts";
import type { Logger } from "../telemetry/logger.ts";
import { answerProbe } from "./app-probe.ts";
import { createMergedMetrics, textFormat } from "./metrics.ts";
import type { AgentSettings } from "./settings.ts";
import { isLocal, plain } from "./status-answer.ts";

/** The ports by what they are for; each is also the flag of `isthmus run`. */
export const statusKinds = ["health", "status", "prometheus"] as const;
/** One of them. */
export type StatusKind = (typeof statusKinds)[number];

/** What the ports show and do. */
export interface StatusContext {
  readonly settings: AgentSettings;
  /** Undefined when traffic is served, else why it is not. */
  readonly notReady: () => string | undefined;
  /** The proxy's metrics in Prometheus' text format. */
  readonly metrics: () => string;
  /** Turns inbound traffic away; outbound goes on. */
  readonly drain: () => void;
  readonly quit: () => void;
  readonly logger: Logger;
}

/** Kubelet's probes, a scraper or two, and people. */
const maxConnections = 256;

/** The ports that are open. */
export class StatusServers {
  readonly #context: StatusContext;
  readonly #open = new Map<StatusKind, HttpServer>();
  readonly #merged: (headers: IncomingMessage["headers"]) => Promise<HttpAnswer>;

  constructor(context: StatusContext) {
    this.#context = context;
    const { metrics, settings, logger } = context;
    this.#merged = createMergedMetrics({ proxy: metrics, application: settings.prometheus, logger });
  }

  /** Opens one; gives one sentence when that is not possible. */
  async open(kind: StatusKind, address: SocketAddress): Promise<string | undefined> {
    const { settings, logger } = this.#context;
    if (kind === "status" && settings.prometheus?.port === address.port)
      return `ISTIO_PROMETHEUS_ANNOTATIONS: port ${address.port} is this proxy's own --status, which would ask itself: give the application's`;
    try {
      const server = await listenHttp({
        address,
        name: "status",
        maxConnections,
        answer: (request) => this.#answer(kind, request),
        logger,
      });
      this.#open.set(kind, server);
      return undefined;
    } catch (thrown) {
      return bindProblem(`${kind} server`, `--${kind}`, address, thrown);
    }
  }

  /** Where each one listens. */
  addresses(): Readonly<Partial<Record<StatusKind, SocketAddress>>> {
    return Object.fromEntries([...this.#open].map(([kind, { address }]) => [kind, address]));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.values()].map((server) => server.close()));
  }

  #answer(kind: StatusKind, request: IncomingMessage): HttpAnswer | Promise<HttpAnswer> {
    const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
    if (kind === "prometheus")
      return path === "/stats/prometheus"
        ? { status: 200, contentType: textFormat, body: this.#context.metrics() }
        : plain("expected /stats/prometheus\n", 404);
    if (path === "/healthz/ready") return this.#readiness();
    if (kind === "health") return plain("expected /healthz/ready\n", 404);
    return this.#status(path, request);
  }

  #readiness(): HttpAnswer {
    const reason = this.#context.notReady();
    return reason === undefined ? plain("") : plain(`${reason}\n`, 503);
  }

  #status(path: string, request: IncomingMessage): HttpAnswer | Promise<HttpAnswer> {
    if (path === "/stats/prometheus" || path === "/metrics") return this.#merged(request.headers);
    if (path.startsWith("/app-health/") || path.startsWith("/app-lifecycle/")) return this.#probe(path, request);
    if (path === "/quitquitquit") return local(request, this.#context.quit);
    if (path === "/drain") return local(request, this.#context.drain);
    return plain("expected /healthz/ready, /stats/prometheus, /app-health/..., /drain or /quitquitquit\n", 404);
  }

  #probe(path: string, request: IncomingMessage): HttpAnswer | Promise<HttpAnswer> {
    const { settings, logger } = this.#context;
    const probe = settings.probes.get(path);
    if (probe === undefined) return plain(`ISTIO_KUBE_APP_PROBERS names no probe ${path}\n`, 400);
    const statusPort = this.#open.get("status")?.address.port ?? 0;
    return answerProbe(probe, request.headers, { podAddress: settings.podAddress, statusPort, logger });
  }
}

// Ends traffic, so it is for the pod itself, and for no web page that a browser there may show.
function local(request: IncomingMessage, act: () => void): HttpAnswer {
  if (!isLocal(request)) return plain("Only requests from localhost are allowed\n", 403);
  if (request.method !== "POST") return plain("Method Not Allowed\n", 405);
  const site = request.headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin" && site !== "none") return plain("cross-site request refused\n", 403);
  act();
  return plain("OK");
}
