// What steps hand to each other: a connection at its listener, and the shares of it on their way to clusters.
import type { HttpConnectionManagerConfig } from "../envoy/listener/http-connection-manager.ts";
import type { Listener } from "../envoy/listener/listener.ts";
import type { RetryPolicy } from "../envoy/route/route.ts";
import type { Verdict } from "./explanation.ts";
import type { FarGateway } from "./knowledge.ts";
import type { RequestQuestion } from "./question.ts";

/** A connection at its listener. */
export interface Arrival {
  readonly listener: Listener;
  /** Undefined: some address that only the world outside knows. */
  readonly ip: string | undefined;
  readonly port: number;
  readonly bytes: Buffer;
  /** Undefined for a bare ClientHello. */
  readonly request: RequestQuestion | undefined;
  /** When tokens are judged, in seconds since the epoch. */
  readonly nowSeconds: number;
  /** What the gateway of another network does with a hello; undefined: nobody knows. */
  readonly farSide: (gateway: FarGateway, serverName: string, alpn: readonly string[]) => Verdict | undefined;
}

/** Where one share of the traffic goes. */
export interface Target {
  readonly cluster: string;
  /** Of 1. */
  readonly share: number;
  /** The reply of the router when the cluster is unknown; absent for TCP. */
  readonly unknownStatus?: number;
  /** Offered in place of the cluster's ALPN list, by cluster. */
  readonly http?: HttpConnectionManagerConfig;
  readonly retryPolicy?: RetryPolicy;
  readonly metadataMatch: Readonly<Record<string, unknown>>;
  /** An east-west gateway's chain: its refusals have names of their own. */
  readonly sniDnat: boolean;
}
