// What the main thread and a worker say to each other: plain data, so that it can be cloned across the boundary.
// A request has exactly one reply with its id; notices have none.
import type { UpdateAhead } from "../snapshot/update-parts.ts";
import type { SnapshotUpdate } from "../snapshot/update.ts";
import type { IstioMetricsSettings } from "../listener/istio-metrics.ts";
import type { LogLevel, LogStyle } from "../telemetry/pino-logger.ts";
import type { StatsAnnouncement } from "../telemetry/stats-slab.ts";
import type { ListenerView } from "../telemetry/views.ts";
import type { ClusterDescription } from "../upstream/cluster-description.ts";

/** What a worker is started with. */
export interface WorkerSettings {
  readonly id: number;
  /** Several workers bind the same addresses. */
  readonly reusePort: boolean;
  readonly logLevel: LogLevel;
  readonly logStyle: LogStyle;
  /** How long a record of the access log may wait in memory. */
  readonly accessLogFlushMs: number;
  /** An IP of this machine that is not loopback, or 127.0.0.1. */
  readonly localAddress: string;
  /** The nice value that this thread is to have. */
  readonly priority: number;
  /** `cluster` of the node; known when configuration has been loaded, as the next is. */
  readonly nodeCluster?: string | undefined;
  /** Known when configuration has been loaded; the first threads are told later. */
  readonly istioMetrics?: IstioMetricsSettings | undefined;
}

/** A listener that could not be made or bound, with one sentence for the person who runs the proxy. */
export interface ListenerFailure {
  readonly name: string;
  readonly message: string;
}

/** What became of a publish in one worker. */
export interface ApplyOutcome {
  readonly failures: readonly ListenerFailure[];
  /** Where the listeners that the update sets are now. */
  readonly listeners: readonly ListenerView[];
}

/** Requests: what goes in, what comes back. */
export interface Requests {
  apply: { readonly ask: SnapshotUpdate; readonly reply: ApplyOutcome };
  clusters: { readonly ask: undefined; readonly reply: readonly ClusterDescription[] };
  listeners: { readonly ask: undefined; readonly reply: readonly ListenerView[] };
  /** Stops accepting; connections stay. */
  stopAccepting: { readonly ask: { readonly direction: "all" | "inbound" }; readonly reply: undefined };
  /** Closes everything and writes what is left of the logs. */
  stop: { readonly ask: undefined; readonly reply: undefined };
}

/** The name of a request. */
export type RequestName = keyof Requests;

/** From the main thread. */
export type ToWorker =
  | {
      [K in RequestName]: { readonly kind: "request"; readonly id: number; readonly name: K; readonly ask: Requests[K]["ask"] };
    }[RequestName]
  /** A part of the update that the next `apply` completes, and that answers for it. */
  | { readonly kind: "applyAhead"; readonly update: UpdateAhead }
  | { readonly kind: "drain" }
  /** Of the admin's /healthcheck/fail and /healthcheck/ok. */
  | { readonly kind: "failHealthChecks"; readonly failing: boolean }
  | { readonly kind: "setNodeCluster"; readonly cluster: string }
  | { readonly kind: "setLogLevel"; readonly level: LogLevel }
  | { readonly kind: "setIstioMetrics"; readonly settings: IstioMetricsSettings }
  | { readonly kind: "reopenLogs" };

/** From a worker. */
export type ToMain =
  | { readonly kind: "stats"; readonly announcement: StatsAnnouncement }
  | { readonly kind: "reply"; readonly id: number; readonly ok: true; readonly value: Requests[RequestName]["reply"] }
  | { readonly kind: "reply"; readonly id: number; readonly ok: false; readonly message: string };
