// What a running worker shows of itself: plain data for admin pages and commands.
import type { Address, SocketAddress } from "../envoy/address.ts";
import type { CircuitBreakerThresholds } from "../envoy/cluster.ts";
import type { Locality } from "../envoy/endpoint.ts";

/** A listener as a worker has it. */
export interface ListenerView {
  readonly name: string;
  /** Where it is bound, ports as the kernel chose them; the configured addresses when it is not bound to a port. */
  readonly addresses: readonly SocketAddress[];
}

/** An endpoint as a worker has it. */
export interface HostView {
  readonly address: Address;
  readonly addressText: string;
  readonly hostname: string;
  readonly weight: number;
  readonly priority: number;
  readonly locality: Locality;
  readonly healthy: boolean;
  /** Requests or connections in flight. */
  readonly active: number;
}

/** A cluster as a worker has it. */
export interface ClusterView {
  readonly name: string;
  readonly observabilityName: string;
  readonly thresholds: { readonly default: CircuitBreakerThresholds; readonly high: CircuitBreakerThresholds };
  readonly hosts: readonly HostView[];
}
