// The address that stands for this machine in x-forwarded-for.
import { networkInterfaces } from "node:os";

/** The first IPv4 address that is not loopback, otherwise 127.0.0.1. */
export function localAddress(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { address, family, internal } of addresses ?? []) if (family === "IPv4" && !internal) return address;
  }
  return "127.0.0.1";
}
