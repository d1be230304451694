// The merged metrics of a pod: this agent's own, the proxy's, and the application's last, since OpenMetrics end with `# EOF`.
// A part that fails is left out and counted; the scrape itself never fails.
import type { IncomingHttpHeaders } from "node:http";
import type { HttpAnswer } from "../net/http-server.ts";
import type { Logger } from "../telemetry/logger.ts";
import { fetchLocal } from "./http-fetch.ts";
import type { PrometheusTarget } from "./settings.ts";

/** Prometheus' text format. */
export const textFormat = "text/plain; version=0.0.4; charset=utf-8";
/** What is taken of an application's answer, at most. */
const maxApplicationBytes = 10 * 1024 * 1024;
/** When the scraper does not say how long it waits: Prometheus' own default. */
const defaultTimeoutMs = 10_000;

/** What is merged. */
export interface MetricsParts {
  /** The proxy's own, in the text format. */
  readonly proxy: () => string;
  /** Undefined where the pod's annotations name none. */
  readonly application: PrometheusTarget | undefined;
  readonly logger: Logger;
}

/** Makes the answer to a scrape. */
export function createMergedMetrics(parts: MetricsParts): (headers: IncomingHttpHeaders) => Promise<HttpAnswer> {
  let scrapes = 0;
  const failures = new Map<"envoy" | "application", number>();
  const failed = (type: "envoy" | "application", cause: unknown): void => {
    failures.set(type, (failures.get(type) ?? 0) + 1);
    parts.logger.warn("metrics are left out of a scrape", { part: type, reason: cause instanceof Error ? cause.message : String(cause) });
  };
  const proxy = (): string => {
    try {
      return parts.proxy();
    } catch (thrown) {
      failed("envoy", thrown);
      return "";
    }
  };
  return async (headers) => {
    scrapes++;
    let application: Application = nothing;
    try {
      if (parts.application) application = await scrapeApplication(parts.application, headers);
    } catch (thrown) {
      failed("application", thrown);
    }
    const body = Buffer.concat([Buffer.from(agentMetrics(scrapes, failures) + lines(proxy())), application.body]);
    return { status: 200, contentType: application.format, body };
  };
}

interface Application {
  readonly body: Buffer;
  readonly format: string;
}

const nothing: Application = { body: Buffer.alloc(0), format: textFormat };

async function scrapeApplication(target: PrometheusTarget, headers: IncomingHttpHeaders): Promise<Application> {
  const {
    status,
    headers: answered,
    body,
  } = await fetchLocal({
    scheme: "http",
    host: "localhost",
    port: target.port,
    path: target.path,
    headers: passedOn(headers),
    timeoutMs: timeoutOf(headers),
    maxBytes: maxApplicationBytes,
    beyond: "refuse",
  });
  if (status !== 200) throw new Error(`port ${target.port} answered ${target.path} with status ${status}`);
  return { body, format: formatOf(answered["content-type"] ?? "") };
}

// What decides about the answer, as Prometheus itself would have sent it.
function passedOn(headers: IncomingHttpHeaders): Record<string, string> {
  const names = ["accept", "user-agent", "x-prometheus-scrape-timeout-seconds"];
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = headers[name];
      return typeof value === "string" ? [[name, value]] : [];
    }),
  );
}

function timeoutOf(headers: IncomingHttpHeaders): number {
  const seconds = Number(headers["x-prometheus-scrape-timeout-seconds"] ?? Number.NaN);
  return seconds > 0 && seconds < 3_600 ? seconds * 1000 : defaultTimeoutMs;
}

// The merged text is in the application's format, which only it can choose.
function formatOf(contentType: string): string {
  const [type = "", ...parameters] = contentType.split(";").map((part) => part.trim().toLowerCase());
  if (type !== "application/openmetrics-text") return textFormat;
  const version = parameters.includes("version=1.0.0") ? "1.0.0" : "0.0.1";
  return `application/openmetrics-text; version=${version}; charset=utf-8`;
}

function agentMetrics(scrapes: number, failures: ReadonlyMap<string, number>): string {
  const failed = [...failures].map(([type, count]) => `istio_agent_scrape_failures_total{type="${type}"} ${count}\n`);
  return (
    `# TYPE istio_agent_scrapes_total counter\nistio_agent_scrapes_total ${scrapes}\n` +
    (failed.length === 0 ? "" : `# TYPE istio_agent_scrape_failures_total counter\n${failed.join("")}`)
  );
}

const lines = (text: string): string => (text === "" || text.endsWith("\n") ? text : `${text}\n`);
