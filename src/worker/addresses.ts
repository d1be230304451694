// Addresses across workers: worker 0 lets the kernel choose where a port is 0, the others bind what it got; and before any
// of them binds with SO_REUSEPORT, a plain bind shows whether somebody else owns the address.
import type { SocketAddress } from "../envoy/address.ts";
import type { Listener } from "../envoy/listener/listener.ts";
import { bindAddress } from "../net/bind.ts";
import type { SnapshotUpdate, Versioned } from "../snapshot/update.ts";
import type { ListenerView } from "../telemetry/views.ts";
import type { ListenerFailure } from "./messages.ts";

/** Where each listener is bound, by name. */
export type BoundAddresses = ReadonlyMap<string, readonly SocketAddress[]>;

const textOf = ({ address, port }: SocketAddress): string => `${address} ${port}`;

/** The update with the ports that are already known in place of 0. */
export function withKnownPorts(update: SnapshotUpdate, bound: BoundAddresses): SnapshotUpdate {
  const set = update.listeners.set.map((listener): Versioned<Listener> => {
    const known = bound.get(listener.name);
    if (!known || !listener.value.addresses.some((address) => address.port === 0)) return listener;
    const addresses = listener.value.addresses.map((address, i) =>
      address.port === 0 && known[i]?.address === address.address ? known[i] : address,
    );
    return { ...listener, value: { ...listener.value, addresses } };
  });
  return { ...update, listeners: { ...update.listeners, set } };
}

/** The update without the listeners that failed. */
export function withoutListeners(update: SnapshotUpdate, failures: readonly ListenerFailure[]): SnapshotUpdate {
  if (failures.length === 0) return update;
  const failed = new Set(failures.map((failure) => failure.name));
  return { ...update, listeners: { ...update.listeners, set: update.listeners.set.filter((listener) => !failed.has(listener.name)) } };
}

/** What is bound after worker 0 took an update and said where its listeners are; ports once chosen are kept for workers that start later. */
export function boundAfter(bound: BoundAddresses, { listeners }: SnapshotUpdate, views: readonly ListenerView[]): BoundAddresses {
  if (listeners.set.length + listeners.removed.length === 0) return bound;
  const after = new Map(bound);
  for (const name of listeners.removed) after.delete(name);
  for (const { name, addresses } of views) after.set(name, addresses);
  return after;
}

/** Tries each new address alone. Gives the listeners whose address somebody else owns or that may not be bound. */
export async function probeAddresses(update: SnapshotUpdate, bound: BoundAddresses): Promise<readonly ListenerFailure[]> {
  if (update.listeners.set.length === 0) return [];
  const ours = new Set([...bound.values()].flat().map(textOf));
  const failures: ListenerFailure[] = [];
  for (const { name, value } of update.listeners.set) {
    if (!value.bindToPort) continue;
    for (const address of value.addresses) {
      // Port 0 never collides; what this process has bound is replaced in place.
      if (address.port === 0 || ours.has(textOf(address))) continue;
      const { transparent, freebind } = value;
      const result = await bindAddress({
        address,
        backlog: 1,
        reusePort: false,
        transparent,
        freebind,
        onConnection: (socket) => socket.destroy(),
      });
      if (result.ok) result.bound.close();
      else {
        failures.push({ name, message: `listener ${name}: ${result.message}` });
        break;
      }
    }
  }
  return failures;
}
