// Hosts of an ORIGINAL_DST cluster: made on demand for where the client wanted to go, shared while in use, swept when not.
import { isIP } from "node:net";
import type { Clock, Timer } from "../../clock.ts";
import type { Cluster } from "../../envoy/cluster/cluster.ts";
import type { LbContext } from "../cluster.ts";
import { formatAddress } from "../host.ts";
import type { ResolvedEndpoint, UpstreamHost } from "../host.ts";

/** Envoy's default cleanup_interval. */
const sweepMs = 5_000;
/** Destinations are the client's choice, so their number has to be bounded; beyond it there is no host until one falls idle. */
const maxHosts = 50_000;

const noLocality = { region: "", zone: "", subZone: "" };

/** The on-demand hosts of one cluster. */
export class OriginalDstHosts {
  readonly #settings: Cluster["originalDst"];
  readonly #clock: Clock;
  readonly #createHost: (endpoint: ResolvedEndpoint) => UpstreamHost;
  readonly #onChange: (total: number) => void;
  readonly #hosts = new Map<string, UpstreamHost>();
  readonly #picked = new Set<UpstreamHost>();
  #sweeper: Timer | undefined;

  /** @param onChange hosts came or went; how many there are now */
  constructor(
    settings: Cluster["originalDst"],
    clock: Clock,
    createHost: (endpoint: ResolvedEndpoint) => UpstreamHost,
    onChange: (total: number) => void,
  ) {
    this.#settings = settings;
    this.#clock = clock;
    this.#createHost = createHost;
    this.#onChange = onChange;
  }

  /** The host for this connection or request; none when its destination was not restored. */
  pick(context: LbContext): UpstreamHost | undefined {
    const destination = this.#destination(context);
    if (destination === undefined) return undefined;
    const address = this.#settings.portOverride === 0 ? destination : { address: destination.address, port: this.#settings.portOverride };
    const addressText = formatAddress(address);
    let host = this.#hosts.get(addressText);
    if (host === undefined) {
      if (this.#hosts.size >= maxHosts) this.#sweep();
      if (this.#hosts.size >= maxHosts) return undefined;
      host = this.#createHost({
        address,
        addressText,
        additionalAddresses: [],
        hostname: "",
        weight: 1,
        priority: 0,
        locality: noLocality,
        localityWeight: 0,
        metadata: {},
        health: "healthy",
        status: "UNKNOWN",
      });
      this.#hosts.set(addressText, host);
      this.#onChange(this.#hosts.size);
    }
    this.#picked.add(host);
    this.#sweeper ??= this.#clock.after(sweepMs, () => this.#onSweep());
    return host;
  }

  /** All hosts there are now. */
  list(): readonly UpstreamHost[] {
    return [...this.#hosts.values()];
  }

  /** Removes every host. */
  close(): void {
    this.#sweeper?.cancel();
    for (const host of this.#hosts.values()) host.remove();
    this.#hosts.clear();
  }

  #destination(context: LbContext): { readonly address: string; readonly port: number } | undefined {
    if (this.#settings.useHttpHeader !== "") {
      const value = context.headers?.get(this.#settings.useHttpHeader);
      // Envoy: a header that names no address is not ignored, because falling back would send the request elsewhere.
      if (value !== undefined) return parseIpPort(value);
    }
    const info = context.downstream;
    return info?.localRestored === true ? { address: info.local.ip, port: info.local.port } : undefined;
  }

  #onSweep(): void {
    this.#sweeper = undefined;
    this.#sweep();
    this.#picked.clear();
    if (this.#hosts.size > 0) this.#sweeper = this.#clock.after(sweepMs, () => this.#onSweep());
  }

  // A host stays while it was picked since the last sweep or anything of it is open, idle pooled connections included.
  #sweep(): void {
    let removed = 0;
    for (const [key, host] of this.#hosts) {
      if (this.#picked.has(host) || host.activeRequests > 0 || host.counts.cxActive > 0) continue;
      this.#hosts.delete(key);
      host.remove();
      removed++;
    }
    if (removed > 0) this.#onChange(this.#hosts.size);
  }
}

/** `ip:port` with IPv6 in brackets; undefined for anything else, names included. */
function parseIpPort(text: string): { readonly address: string; readonly port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([0-9]{1,5})$/.exec(text);
  const address = match?.[1] ?? match?.[2] ?? "";
  const port = Number(match?.[3]);
  if (isIP(address) !== (match?.[1] === undefined ? 4 : 6) || !(port > 0 && port < 65536)) return undefined;
  return { address, port };
}
