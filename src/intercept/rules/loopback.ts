// The two addresses that interception treats apart, in each family that it covers: loopback, and the proxy's inbound source.
import type { Rule } from "../rule.ts";
import type { InterceptSettings } from "../settings.ts";

type PerFamily = (range: string, family: 4 | 6) => readonly Rule[];

/** The application's own loopback. */
export function forLoopback(settings: InterceptSettings, make: PerFamily): readonly Rule[] {
  return [...make(settings.ipv4Loopback, 4), ...(settings.ipv6 ? make("::1/128", 6) : [])];
}

/** Where InboundPassthroughCluster and the agent connect to the application from: such a connection has been inbound already. */
export function inboundSource(settings: InterceptSettings, make: PerFamily): readonly Rule[] {
  return [...make("127.0.0.6/32", 4), ...(settings.ipv6 ? make("::6/128", 6) : [])];
}
