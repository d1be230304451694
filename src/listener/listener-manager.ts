// Listeners of this worker: binds, accepts, and brings them from snapshot to snapshot without dropping a connection that a
// change does not concern.
import type { Socket } from "node:net";
import type { SocketAddress } from "../envoy/address.ts";
import type { Listener } from "../envoy/listener.ts";
import type { DownstreamTlsContext } from "../envoy/tls.ts";
import type { FilterDeps, ListenerFilterSpec, NetworkFilterSpec } from "../filter/filter.ts";
import type { ServerTransport } from "../identity/transport.ts";
import { bindAddress, type BoundSocket } from "../net/bind.ts";
import type { ResourceUpdate } from "../snapshot/update.ts";
import type { StatsScope } from "../telemetry/stats.ts";
import { ConnectionInfo } from "../telemetry/stream-info.ts";
import type { ListenerView } from "../telemetry/views.ts";
import { compileListener, type ActiveListener } from "./active-listener.ts";
import { RedirectTable } from "./redirect-table.ts";

/** What listeners run on. */
export interface ListenerManagerOptions extends FilterDeps {
  readonly networkFilters: ReadonlyMap<string, NetworkFilterSpec>;
  readonly listenerFilters: ReadonlyMap<string, ListenerFilterSpec>;
  readonly createServerTransport: (tls: DownstreamTlsContext, scope: StatsScope) => ServerTransport;
  /** Other workers bind the same addresses. */
  readonly reusePort: boolean;
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

interface Entry {
  active: ActiveListener;
  bound: readonly BoundSocket[];
  connections: number;
  accepting: boolean;
}

/** The listeners of one worker. */
export class ListenerManager {
  readonly #deps: ListenerManagerDeps;
  readonly #entries = new Map<string, Entry>();
  readonly #sockets = new Set<Socket>();
  #redirects = new RedirectTable([]);
  #connectionIds = 0;

  constructor(options: ListenerManagerOptions) {
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
    const failures: ListenerFailure[] = [];
    for (const name of update.removed) this.#remove(name);
    for (const { name, value } of update.set) {
      const problem = await this.#set(name, value);
      if (problem !== undefined) failures.push({ name, message: problem });
    }
    this.#redirects = new RedirectTable([...this.#entries.values()].map(({ active }) => active));
    return failures;
  }

  /** Where each listener is. */
  views(): readonly ListenerView[] {
    return [...this.#entries].map(([name, { active, bound }]) => ({
      name,
      addresses: bound.length > 0 ? bound.map(({ address }) => address) : active.model.addresses,
    }));
  }

  /** Closes listening sockets; connections stay. */
  stopAccepting(direction: "all" | "inbound"): undefined {
    for (const entry of this.#entries.values()) {
      if (direction === "inbound" && entry.active.model.trafficDirection !== "INBOUND") continue;
      entry.accepting = false;
      for (const socket of entry.bound) socket.close();
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
    entry.accepting = false;
    for (const socket of entry.bound) socket.close();
    entry.active.drain();
  }

  async #set(name: string, model: Listener): Promise<string | undefined> {
    const entry = this.#entries.get(name);
    const compiled = compileListener(model, this.#deps, entry?.active);
    if (!compiled.ok) return compiled.message;
    const active = compiled.listener;
    if (entry !== undefined && sameBinding(entry.active.model, model)) {
      // The sockets stay: what waits in the accept queue is served by the new chains.
      const before = entry.active;
      entry.active = active;
      before.drain(active);
      return undefined;
    }
    const next: Entry = { active, bound: [], connections: 0, accepting: true };
    const bound = await this.#bind(next);
    if (typeof bound === "string") return `listener ${name}: ${bound}`;
    next.bound = bound;
    this.#remove(name);
    this.#entries.set(name, next);
    return undefined;
  }

  /** Binds every address, or none and says why. */
  async #bind(entry: Entry): Promise<readonly BoundSocket[] | string> {
    const { model } = entry.active;
    if (!model.bindToPort) return [];
    const bound: BoundSocket[] = [];
    for (const address of model.addresses) {
      const result = await bindAddress({
        address,
        backlog: model.tcpBacklogSize,
        reusePort: this.#deps.reusePort,
        onConnection: (socket) => this.#accept(entry, socket),
      });
      if (!result.ok) {
        for (const socket of bound) socket.close();
        return result.message;
      }
      bound.push(result.bound);
    }
    return bound;
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

function sameBinding(a: Listener, b: Listener): boolean {
  return a.bindToPort === b.bindToPort && a.tcpBacklogSize === b.tcpBacklogSize && sameAddresses(a.addresses, b.addresses);
}

function sameAddresses(a: readonly SocketAddress[], b: readonly SocketAddress[]): boolean {
  return a.length === b.length && a.every(({ address, port }, i) => address === b[i]!.address && port === b[i]!.port);
}

/** An IPv4 address that came in on a dual-stack socket is written as IPv4. */
function plainIp(ip: string): string {
  return ip.startsWith("::ffff:") && ip.includes(".") ? ip.slice(7) : ip;
}

function ignore(): void {}
