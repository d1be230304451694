// What a route says of asking about its requests: the levels of its configuration put together.
import type { CheckSettings, ExtAuthzPerRoute } from "../../../envoy/http-filter/ext-authz.ts";
import type { Routed } from "../../../http/route/per-route.ts";

/** The settings of one route. */
export interface RouteCheck extends Omit<CheckSettings, "kind"> {
  readonly disabled: boolean;
}

/**
 * Makes a lookup of a route's settings; undefined: it has none. The most specific level decides, but context extensions of all
 * levels count, as in Envoy.
 */
export function routeChecks(filterName: string): (stream: Routed) => RouteCheck | undefined {
  const compiled = new WeakMap<readonly unknown[], RouteCheck>();
  return (stream) => {
    const levels = stream.route?.filterConfig(filterName)?.configs as readonly ExtAuthzPerRoute[] | undefined;
    if (levels === undefined) return undefined;
    let check = compiled.get(levels);
    if (check === undefined) compiled.set(levels, (check = merge(levels)));
    return check;
  };
}

function merge(levels: readonly ExtAuthzPerRoute[]): RouteCheck {
  const contextExtensions = Object.assign(
    {},
    ...levels.map((level) => (level.kind === "check" ? level.contextExtensions : {})),
  ) as CheckSettings["contextExtensions"];
  const nearest = levels.at(-1);
  return { disabled: nearest?.kind === "disabled", contextExtensions, body: nearest?.kind === "check" ? nearest.body : undefined };
}
