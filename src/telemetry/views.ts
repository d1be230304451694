// What a running worker shows of its listeners: plain data for admin pages and commands.
import type { SocketAddress } from "../envoy/address.ts";

/** A listener as a worker has it. */
export interface ListenerView {
  readonly name: string;
  /** Where it is bound, ports as the kernel chose them; the configured addresses when it is not bound to a port. */
  readonly addresses: readonly SocketAddress[];
}
