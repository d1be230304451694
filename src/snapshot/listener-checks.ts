// What keeps a listener from being used, beside its filters: its chains among themselves, and its addresses among those of others.
import type { Listener } from "../envoy/listener/listener.ts";
import { overlappingChains } from "./filter-chain-overlap.ts";
import type { ResourceIssues } from "./resource-issue.ts";

/** Reports a listener without chains, and chains that match the same connections. */
export function checkChains(listener: Listener, issues: ResourceIssues): void {
  if (listener.filterChains.length === 0 && listener.defaultFilterChain === undefined)
    issues.error("a listener needs at least one filter chain");
  for (const [later, earlier] of overlappingChains(listener.filterChains))
    issues.error(`matches the same connections as filter_chains[${earlier}]`, ["filter_chains", later]);
}

/** Reports addresses that a listener before it has; notes its own in `taken`, by address and port. */
export function checkAddresses(listener: Listener, taken: Map<string, string>, issues: ResourceIssues): void {
  if (!listener.bindToPort) return;
  listener.addresses.forEach(({ address, port }, index) => {
    // Port 0 is a port of the kernel's choosing, different each time.
    if (port === 0) return;
    const key = `${address} ${port}`;
    const owner = taken.get(key);
    const path = index === 0 ? ["address"] : ["additional_addresses", index - 1];
    if (owner !== undefined) issues.error(`${address}:${port} is already the address of listener ${owner}`, path);
    else if (!issues.failed) taken.set(key, listener.name);
  });
}
