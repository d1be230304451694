// What Istio's injector tells an agent by environment: the application's probes, its metrics, and how the proxy ends.
import type { Issue, Result } from "../error.ts";

/** Where an application's metrics are, from its pod's `prometheus.io/*` annotations. */
export interface PrometheusTarget {
  readonly port: number;
  readonly path: string;
}

/** One probe or lifecycle handler of an application, asked on its behalf. */
export interface AppProbe {
  readonly action:
    | { readonly kind: "http"; readonly scheme: "http" | "https"; readonly port: number; readonly path: string }
    | { readonly kind: "tcp"; readonly port: number }
    | { readonly kind: "grpc"; readonly port: number; readonly service: string };
  readonly timeoutMs: number;
}

/** Everything that the environment says. */
export interface AgentSettings {
  /** By path, `/app-health/CONTAINER/livez` and so on (ISTIO_KUBE_APP_PROBERS). */
  readonly probes: ReadonlyMap<string, AppProbe>;
  /** ISTIO_PROMETHEUS_ANNOTATIONS. */
  readonly prometheus: PrometheusTarget | undefined;
  /** The pod's own address, which probes go to as kubelet's would (INSTANCE_IP); default loopback. */
  readonly podAddress: string | undefined;
  /** End as soon as no connection is left instead of after the drain time (EXIT_ON_ZERO_ACTIVE_CONNECTIONS). */
  readonly exitOnZeroConnections: boolean;
  /** With it: not before this (MINIMUM_DRAIN_DURATION, default 5 s). */
  readonly minimumDrainMs: number;
}

/** Istio's default. */
const defaultMinimumDrainMs = 5_000;
/** Kubernetes' default of `timeoutSeconds`. */
const defaultProbeTimeoutMs = 1_000;
/** Lifecycle handlers have no limit of their own in Kubernetes but the pod's end; a wait without any would be a leak here. */
const lifecycleTimeoutMs = 600_000;
const probePath = /^\/(app-health|app-lifecycle)\/[^/]+\/(livez|readyz|startupz|prestopz|poststartz)$/;

type Environment = Readonly<Record<string, string | undefined>>;
type JsonObject = Readonly<Record<string, unknown>>;

/** Reads them; what cannot be read is an error, since an application would never become ready without its probes. */
export function readAgentSettings(environment: Environment): Result<AgentSettings> {
  const issues: Issue[] = [];
  const error = (name: string, message: string): undefined => void issues.push({ severity: "error", path: [name], message });
  const value: AgentSettings = {
    probes: readProbes(environment["ISTIO_KUBE_APP_PROBERS"], error),
    prometheus: readPrometheus(environment["ISTIO_PROMETHEUS_ANNOTATIONS"], error),
    podAddress: environment["INSTANCE_IP"] || undefined,
    exitOnZeroConnections: environment["EXIT_ON_ZERO_ACTIVE_CONNECTIONS"] === "true",
    minimumDrainMs: readDuration(environment["MINIMUM_DRAIN_DURATION"], error),
  };
  return issues.length > 0 ? { ok: false, issues } : { ok: true, value, issues };
}

type Complain = (name: string, message: string) => undefined;

function readDuration(text: string | undefined, error: Complain): number {
  if (text === undefined || text === "") return defaultMinimumDrainMs;
  const [, amount, unit = ""] = /^(\d{1,6}(?:\.\d{1,3})?)(ms|s|m|h)$/.exec(text) ?? [];
  if (amount === undefined) return error("MINIMUM_DRAIN_DURATION", `"${text}" is no duration, expected e.g. 5s`) ?? defaultMinimumDrainMs;
  return Number(amount) * ({ ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[unit] ?? 1);
}

function readPrometheus(text: string | undefined, error: Complain): PrometheusTarget | undefined {
  const name = "ISTIO_PROMETHEUS_ANNOTATIONS";
  if (text === undefined || text === "") return undefined;
  const given = parseObject(text);
  if (given === undefined) return error(name, "is no JSON object, expected scrape, path and port");
  if (given["scrape"] === "false" || given["scrape"] === false) return undefined;
  const port = Number(given["port"] || "80");
  if (!isPort(port)) return error(name, `"${JSON.stringify(given["port"])}" is no port`);
  const path = typeof given["path"] === "string" && given["path"] !== "" ? given["path"] : "/metrics";
  return { port, path: rooted(path) };
}

function readProbes(text: string | undefined, error: Complain): ReadonlyMap<string, AppProbe> {
  const name = "ISTIO_KUBE_APP_PROBERS";
  const probes = new Map<string, AppProbe>();
  if (text === undefined || text === "") return probes;
  const given = parseObject(text);
  if (given === undefined) error(name, "is no JSON object, expected probes by path");
  for (const [path, value] of Object.entries(given ?? {})) {
    const probe = probePath.test(path) ? readProbe(path, value) : "is no path of a probe, expected /app-health/CONTAINER/livez or the like";
    if (typeof probe === "string") error(name, `${path}: ${probe}`);
    else probes.set(path, probe);
  }
  return probes;
}

function readProbe(path: string, value: unknown): AppProbe | string {
  if (!isObject(value)) return "is no object";
  const { httpGet, tcpSocket, grpc, timeoutSeconds } = value;
  const [action, ...more] = [httpGet, tcpSocket, grpc].filter(isObject);
  if (action === undefined || more.length > 0) return "expected one of httpGet, tcpSocket and grpc";
  const port = action["port"];
  if (!isPort(port)) return "expected a port as a number";
  const otherwiseMs = path.startsWith("/app-lifecycle/") ? lifecycleTimeoutMs : defaultProbeTimeoutMs;
  const timeoutMs = typeof timeoutSeconds === "number" && timeoutSeconds > 0 ? timeoutSeconds * 1000 : otherwiseMs;
  if (action === tcpSocket) return { action: { kind: "tcp", port }, timeoutMs };
  if (action === grpc) return { action: { kind: "grpc", port, service: textOf(action["service"]) }, timeoutMs };
  const scheme = textOf(action["scheme"]).toUpperCase() === "HTTPS" ? "https" : "http";
  return { action: { kind: "http", scheme, port, path: rooted(textOf(action["path"])) }, timeoutMs };
}

const isObject = (value: unknown): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value);
const isPort = (value: unknown): value is number => Number.isInteger(value) && Number(value) > 0 && Number(value) < 65_536;
const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
const rooted = (path: string): string => (path.startsWith("/") ? path : `/${path}`);

function parseObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    // The caller says what was expected.
    return undefined;
  }
}
