// The step about rate limits: what the request counts as for each filter, and which limits that meets.
import type { FilterConfig } from "../../envoy/listener/listener.ts";
import type { CountedRequest } from "../../http/route/rate-limit.ts";
import type { Narrative } from "../explanation.ts";
import { findRateLimits } from "../rate-limits.ts";

/** Tells what rate limit filters make of a request; says nothing where there are none. */
export function tellRateLimits(filters: readonly FilterConfig[], request: Omit<CountedRequest, "target">, story: Narrative): void {
  // As the route's, the draw among weighted clusters is 0.
  const action = request.route?.action;
  const target = action?.kind === "route" ? action.pickCluster(request, 0) : undefined;
  const found = findRateLimits(filters, { ...request, target });
  if (found.length === 0) return;
  const open = found.flatMap(({ undecided }) => undecided ?? []);
  const limits = found.map(({ filter, descriptors, buckets }) => ({ filter, descriptors, buckets }));
  story
    .step("rate_limit", open.length === 0 ? "no rate limit can refuse it" : `it counts for ${open.join(" and ")}`, { limits })
    .all(found.map(({ text }) => ({ text })));
  for (const title of open)
    story.warn("not_evaluated", `${title} may refuse the request with what it has counted by then, which a configuration does not tell`);
}
