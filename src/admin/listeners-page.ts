// `/listeners`: name and address of each listener, in Envoy's text and JSON.
import type { SocketAddress } from "../envoy/address.ts";
import type { ListenerView } from "../telemetry/views.ts";

const addressText = ({ address, port }: SocketAddress): string => (address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`);
const addressJson = ({ address, port }: SocketAddress): unknown => ({ socket_address: { address, port_value: port } });

/** `name::address` lines; further addresses of a listener follow on the same line, as Envoy writes them. */
export function listenersText(listeners: readonly ListenerView[]): string {
  return listeners.map(({ name, addresses }) => `${name}::${addresses.map(addressText).join(",")}\n`).join("");
}

/** Envoy's admin.v3.Listeners. */
export function listenersJson(listeners: readonly ListenerView[]): unknown {
  return {
    listener_statuses: listeners.map(({ name, addresses: [first, ...more] }) => ({
      name,
      ...(first ? { local_address: addressJson(first) } : {}),
      ...(more.length > 0 ? { additional_local_addresses: more.map(addressJson) } : {}),
    })),
  };
}
