// What the admin pages may see and do: everything else of the proxy is out of their reach.
import type { Issue } from "../error.ts";
import type { Node, Resources } from "../envoy/bootstrap.ts";
import type { LogLevel } from "../telemetry/pino-logger.ts";
import type { StatsReader } from "../telemetry/stats/stats-reader.ts";
import type { ListenerView } from "../telemetry/views.ts";
import type { ClusterDescription } from "../upstream/cluster-description.ts";

/** Envoy's server states. */
export type ServerState = "LIVE" | "DRAINING" | "PRE_INITIALIZING" | "INITIALIZING";

/** One issue with the place it was found at. */
export interface LocatedIssue {
  readonly severity: Issue["severity"];
  /** `file:line:col path: message` as far as known. */
  readonly text: string;
}

/** The configuration in force. */
export interface ConfigView {
  /** Counts publishes. */
  readonly version: number;
  readonly lastUpdatedMs: number;
  /** `bootstrap` for -c, `mesh` for --mesh: decides whether resources are listed as static or dynamic. */
  readonly source: "bootstrap" | "mesh";
  /** Decoded, as the workers got it. */
  readonly resources: Resources;
  /** The bootstrap as it was written, plain JSON; undefined when there is none. */
  readonly bootstrap: unknown;
  /** Envoy resources as JSON, by type, where a source has them. */
  readonly json: {
    readonly listeners: readonly unknown[];
    readonly clusters: readonly unknown[];
    readonly routes: readonly unknown[];
    readonly endpoints: readonly unknown[];
  };
  /** Fields that are not honoured and resources that were refused. */
  readonly issues: readonly LocatedIssue[];
}

/** The DNS responder, for /debug/ndsz. */
export interface DnsView {
  /** Istio's name table as it is in force: host to its addresses. */
  readonly table: Readonly<Record<string, unknown>>;
  /** Host to its ports, for SRV. */
  readonly ports: Readonly<Record<string, unknown>>;
  readonly listener: { readonly hosts: readonly string[]; readonly port: number; readonly batching: boolean };
  /** Names that are answered: short, alternative and expanded ones included. */
  readonly names: number;
  readonly search: readonly string[];
  /** How mesh names are answered. */
  readonly answers: object;
  /** The servers for other names and how they do, how they are asked, and what is kept of their replies. */
  readonly upstream: { readonly servers: readonly object[]; readonly settings: object; readonly cache: unknown };
}

/** A question to /explain, its parts as written. */
export interface ExplainParameters {
  readonly method: string | undefined;
  readonly target: string | undefined;
  readonly headers: readonly string[];
  readonly tcp: boolean;
  readonly sni: string | undefined;
  readonly alpn: string | undefined;
  readonly port: string | undefined;
}

/** The proxy as admin sees it. */
export interface AdminContext {
  readonly reader: StatsReader;
  readonly version: string;
  /** Command line options by their Envoy name, for /server_info. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly state: () => ServerState;
  readonly uptimeMs: () => number;
  readonly wallMs: () => number;
  readonly node: () => Node;
  readonly config: () => ConfigView;
  readonly clusters: () => Promise<readonly ClusterDescription[]>;
  readonly listeners: () => Promise<readonly ListenerView[]>;
  /** Undefined where no DNS is answered. */
  readonly dns: () => DnsView | undefined;
  /** Where a request would go and why, from the configuration in force. */
  readonly explain: (
    question: ExplainParameters,
  ) => Promise<{ readonly problem: string } | { readonly explanation: unknown; readonly text: string }>;
  readonly logLevel: () => LogLevel;
  readonly setLogLevel: (level: LogLevel) => void;
  readonly reopenLogs: () => void;
  /** Health checks fail from now on, or no more; connections are told to close meanwhile. */
  readonly failHealthChecks: (failing: boolean) => void;
  /** Stops accepting; with `graceful`, connections are first told to go elsewhere. */
  readonly drainListeners: (options: { readonly graceful: boolean; readonly inboundOnly: boolean }) => void;
  /** Ends the process, as SIGTERM would without waiting. */
  readonly quit: () => void;
}
