// Envoy extensions.filters.network.tcp_proxy.v3.TcpProxy, narrowed.
import type { AccessLog } from "./access-log.ts";
import type { HashPolicy } from "./route.ts";

/** TcpProxy. */
export interface TcpProxyConfig {
  readonly statPrefix: string;
  readonly target:
    | { readonly kind: "cluster"; readonly name: string }
    | { readonly kind: "weighted"; readonly clusters: readonly { readonly name: string; readonly weight: number }[]; readonly totalWeight: number };
  /** Default 1 h; 0 = none. */
  readonly idleTimeoutMs: number;
  /** 0 = none. */
  readonly maxDownstreamConnectionDurationMs: number;
  /** Default 1. */
  readonly maxConnectAttempts: number;
  readonly hashPolicy: readonly HashPolicy[];
  readonly metadataMatch: Readonly<Record<string, unknown>>;
  readonly accessLog: readonly AccessLog[];
}
