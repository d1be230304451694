// Listeners of this worker: binds, accepts, and brings them from snapshot to snapshot without dropping a connection that a
// change does not concern.
import type { Socket } from "node:net";
import type { SocketAddress } from "../envoy/address.ts";
import type { Listener } from "../envoy/listener/listener.ts";
import type { DownstreamTlsContext } from "../envoy/tls/tls.ts";
import type { FilterDeps, ListenerFilterSpec, NetworkFilterSpec } from "../filter/filter.ts";
import type { ServerTransport } from "../identity/transport.ts";
import { bindAddress } from "../net/bind.ts";
import type { BindResult, BoundSocket } from "../net/bind.ts";
import type { DescriptorGuard } from "../net/descriptor-guard.ts";
import { socketFd } from "../net/descriptor.ts";
import type { ResourceUpdate } from "../snapshot/update.ts";
import type { StatsScope } from "../telemetry/stats.ts";
import { ConnectionInfo } from "../telemetry/stream-info.ts";
import type { ListenerView } from "../telemetry/views.ts";
import { compileListener, type ActiveListener } from "./active-listener.ts";
import type { IstioMetrics } from "./istio-metrics.ts";
import { createListenerManagerStats, type ListenerManagerStats } from "./listener-stats.ts";
import { RedirectTable } from "./redirect-table.ts";

/** What listeners run on. */
export interface ListenerManagerOptions extends FilterDeps {
  readonly networkFilters: ReadonlyMap<string, NetworkFilterSpec>;
  readonly listenerFilters: ReadonlyMap<string, ListenerFilterSpec>;
  /** @param scope the `ssl` scope below the listener's */
  readonly createServerTransport: (tls: DownstreamTlsContext, scope: StatsScope) => ServerTransport;
  /** Other workers bind the same addresses. */
  readonly reusePort: boolean;
  /** What is accepted as long as there are descriptors; absent: everything. */
  readonly descriptors?: DescriptorGuard;
  /** Istio's metrics of this worker; absent: none. */
  readonly istio?: IstioMetrics;
  /** How long connections of a removed or changed filter chain may go on. Default 600,000 ms, Envoy's --drain-time-s. */
  readonly drainTimeMs?: number;
}

/** What a listener needs of its manager beside its options. */
export interface ListenerManagerDeps extends ListenerManagerOptions {
  /** The listener that a connection with a restored destination belongs to, when that is not `from`. */
  readonly redirectTarget: (info: ConnectionInfo, from: ActiveListener) => ActiveListener | undefined;
}

/** A listener that could not be made or bound; `message` is one sentence for the person who runs the proxy. */
export interface ListenerFailure {
  readonly name: string;
  readonly message: string;
}

/** A listener's place: what stays while its configuration changes. */
interface Entry {
  active: ActiveListener;
  /** Listening sockets by configured address. */
  bound: ReadonlyMap<string, BoundSocket>;
  connections: number;
  accepting: boolean;
}

const defaultDrainTimeMs = 600_000;

/** The listeners of one worker. */
export class ListenerManager {
  readonly #deps: ListenerManagerDeps;
  readonly #entries = new Map<string, Entry>();
  readonly #sockets = new Set<Socket>();
  readonly #drainTimeMs: number;
  readonly #stats: ListenerManagerStats;
  #redirects = new RedirectTable<ActiveListener>([]);
  #connectionIds = 0;

  constructor(options: ListenerManagerOptions) {
    this.#stats = createListenerManagerStats(options.stats);
    this.#drainTimeMs = options.drainTimeMs ?? defaultDrainTimeMs;
    this.#deps = {
      ...options,
      redirectTarget: (info, from) => {
        const target = this.#redirects.find(info.local.ip, info.local.port);
        return target === from ? undefined : target;
      },
    };
    options.drain.onDrain(() => {
      for (const { active } of this.#entries.values()) active.drain();
    });
  }

  /** Removes, adds and replaces listeners. A failure leaves what was there under that name. */
  async apply(update: ResourceUpdate<Listener>): Promise<readonly ListenerFailure[]> {
    if (update.set.length + update.removed.length === 0) return [];
    const failures: ListenerFailure[] = [];
    for (const name of update.removed) this.#remove(name);
    for (const { name, value } of update.set) {
      const problem = await this.#set(name, value);
      if (problem === undefined) continue;
      this.#stats.createFailure.inc();
      failures.push({ name, message: problem });
    }
    this.#stats.active.set(this.#entries.size);
    this.#redirects = new RedirectTable([...this.#entries.values()].map(({ active }) => active));
    return failures;
  }

  /** Where each listener is; of those with these names, or all. */
  views(names: Iterable<string> = this.#entries.keys()): readonly ListenerView[] {
    return [...names].flatMap((name) => {
      const entry = this.#entries.get(name);
      if (entry === undefined) return [];
      const { active, bound } = entry;
      return [{ name, addresses: bound.size > 0 ? [...bound.values()].map(({ address }) => address) : active.model.addresses }];
    });
  }

  /** Closes listening sockets; connections stay. */
  stopAccepting(direction: "all" | "inbound"): undefined {
    for (const entry of this.#entries.values()) {
      if (direction === "inbound" && entry.active.model.trafficDirection !== "INBOUND") continue;
      entry.accepting = false;
      closeAll(entry.bound);
    }
    return undefined;
  }

  /** Closes everything, connections too. */
  close(): void {
    this.stopAccepting("all");
    for (const { active } of this.#entries.values()) active.destroy();
    for (const socket of this.#sockets) socket.destroy();
    this.#entries.clear();
  }

  #remove(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    this.#entries.delete(name);
    this.#stats.removed.inc();
    entry.accepting = false;
    closeAll(entry.bound);
    entry.active.retire(undefined, this.#drainTimeMs);
  }

  async #set(name: string, model: Listener): Promise<string | undefined> {
    const before = this.#entries.get(name);
    const compiled = compileListener(model, this.#deps, before?.active);
    if (!compiled.ok) return compiled.message;
    const active = compiled.listener;
    const entry = before ?? { active, bound: new Map(), connections: 0, accepting: true };
    const bound = await this.#bind(entry, model);
    if (typeof bound === "string") {
      // Chains that were made for nothing hold no connection; those taken over go on where they are.
      return `listener ${name}: ${bound}`;
    }
    closeAll(new Map([...entry.bound].filter(([key]) => !bound.has(key))));
    const old = entry.active;
    entry.bound = bound;
    entry.active = active;
    this.#entries.set(name, entry);
    (before === undefined ? this.#stats.added : this.#stats.modified).inc();
    this.#stats.createSuccess.inc();
    if (old !== active) old.retire(active, this.#drainTimeMs);
    return undefined;
  }

  /** The sockets of every address, those that stay among them; or why one cannot be had, with nothing changed. */
  async #bind(entry: Entry, model: Listener): Promise<ReadonlyMap<string, BoundSocket> | string> {
    const bound = new Map<string, BoundSocket>();
    // After stopAccepting a change brings new chains, but no new connections.
    if (!model.bindToPort || !entry.accepting) return bound;
    const fresh = new Map<string, BoundSocket>();
    for (const [index, address] of model.addresses.entries()) {
      // Port 0 is another port each time.
      const key = `${address.address} ${address.port || `#${index}`}${model.transparent ? " transparent" : ""}${model.freebind ? " freebind" : ""}`;
      // A socket that stays keeps what waits in its accept queue.
      const kept = entry.bound.get(key);
      const result = kept ? { ok: true as const, bound: kept } : await this.#listen(entry, address, model);
      if (!result.ok) {
        closeAll(fresh);
        return result.message;
      }
      bound.set(key, result.bound);
      if (!kept) fresh.set(key, result.bound);
    }
    return bound;
  }

  #listen(entry: Entry, address: SocketAddress, { tcpBacklogSize: backlog, transparent, freebind }: Listener): Promise<BindResult> {
    const { reusePort } = this.#deps;
    return bindAddress({ address, backlog, reusePort, transparent, freebind, onConnection: (socket) => this.#accept(entry, socket) });
  }

  #accept(entry: Entry, socket: Socket): void {
    socket.on("error", ignore);
    const { remoteAddress, remotePort, localAddress, localPort } = socket;
    // Gone before it could be looked at.
    if (remoteAddress === undefined || localAddress === undefined) {
      socket.destroy();
      return;
    }
    const { active } = entry;
    if (!entry.accepting || !active.admits(entry.connections)) {
      active.stats.downstreamCxOverflow.inc();
      socket.destroy();
      return;
    }
    if (this.#deps.descriptors?.admits(socketFd(socket)) === false) {
      active.stats.downstreamGlobalCxOverflow.inc();
      socket.destroy();
      return;
    }
    entry.connections++;
    this.#sockets.add(socket);
    socket.once("close", () => {
      entry.connections--;
      this.#sockets.delete(socket);
    });
    const { clock } = this.#deps;
    const remote = { ip: plainIp(remoteAddress), port: remotePort ?? 0 };
    const local = { ip: plainIp(localAddress), port: localPort ?? 0 };
    active.accept(socket, new ConnectionInfo(++this.#connectionIds, clock.wallMs(), clock.nowMs(), remote, local));
  }
}

function closeAll(bound: ReadonlyMap<string, BoundSocket>): void {
  for (const socket of bound.values()) socket.close();
}

/** An IPv4 address that came in on a dual-stack socket is written as IPv4. */
function plainIp(ip: string): string {
  return ip.startsWith("::ffff:") && ip.includes(".") ? ip.slice(7) : ip;
}

function ignore(): void {
  // The error event comes with the close event, and that is what the connection's owner goes by.
}
