// `/listeners`: name and address of each listener, in Envoy's text and JSON.
import type { SocketAddress } from "../envoy/address.ts";
import type { ListenerView } from "../telemetry/views.ts";

const addressText = ({ address, port }: SocketAddress): string => (address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`);
const addressJson = ({ address, port }: SocketAddress): unknown => ({ socket_address: { address, port_value: port } });

/** `name::address` lines, one for each address. */
export function listenersText(listeners: readonly ListenerView[]): string {
  let text = "";
  for (const { name, addresses } of listeners) for (const address of addresses) text += `${name}::${addressText(address)}\n`;
  return text;
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
