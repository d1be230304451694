// One sentence about an address of the process itself that cannot be bound.
import type { SocketAddress } from "../envoy/address.ts";
import { errnoOf } from "../net/errno.ts";

/** Says what is wrong and what to do; `flag` is the option that gives another address. */
export function bindProblem(what: string, flag: string, { address, port }: SocketAddress, thrown: unknown): string {
  const where = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
  switch (errnoOf(thrown)) {
    case "EADDRINUSE":
      return `${what}: ${where} is already in use: stop the process that listens there or give ${flag} another port`;
    case "EACCES":
      return `${what}: no permission to listen on ${where}: give ${flag} a port from 1024 up, or run with the capability CAP_NET_BIND_SERVICE`;
    case "EADDRNOTAVAIL":
      return `${what}: this machine has no address ${address}: add it to an interface or give ${flag} another address`;
    default:
      return `${what}: cannot listen on ${where}: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
  }
}
