// VirtualServices that leave routes to others (`delegate`): the other's routes take the place of the route that names it, as far
// as its matches leave room for theirs.
import type { MeshObject } from "../object/mesh-object.ts";
import { exportRank } from "../scope/exports.ts";
import { resolveHost } from "./host-name.ts";
import type { Destination } from "./route/destination.ts";
import type { HeaderRules } from "./route/http-policy.ts";
import type { Delegate, HttpAction, HttpRoute } from "./route/http-route.ts";
import { joinMatches } from "./route/join-matches.ts";
import type { VirtualServiceSpec, WrittenVirtualService } from "./virtual-service.ts";

type Written = MeshObject<WrittenVirtualService>;

/** VirtualServices with their delegates' routes, in the order given; those without hosts are delegates and stand for nothing else. */
export function joinDelegates(written: readonly Written[], exportDefault: readonly string[]): readonly MeshObject<VirtualServiceSpec>[] {
  const delegates = new Map(
    written.filter(({ spec }) => spec.hosts.length === 0).map((each) => [`${each.meta.namespace}/${each.meta.name}`, each]),
  );
  return written.flatMap((each): readonly MeshObject<VirtualServiceSpec>[] => {
    if (each.spec.hosts.length === 0) return [];
    return [isWhole(each) ? each : { meta: each.meta, spec: { ...each.spec, http: joinRoutes(each, delegates, exportDefault) } }];
  });
}

function isWhole(each: Written | MeshObject<VirtualServiceSpec>): each is MeshObject<VirtualServiceSpec> {
  return each.spec.http.every(({ action }) => action.kind !== "delegate");
}

function joinRoutes(
  { meta, spec }: Written,
  delegates: ReadonlyMap<string, Written>,
  exportDefault: readonly string[],
): readonly HttpRoute[] {
  return spec.http.flatMap((route): readonly HttpRoute[] => {
    const { action } = route;
    if (action.kind !== "delegate") return [{ ...route, action }];
    const found = delegates.get(delegateName(action, meta.namespace));
    // One that is not there, or not for this namespace, leaves the requests to the routes that follow.
    if (found === undefined) return [];
    if (exportRank(found.spec.exportTo, exportDefault, found.meta.namespace, meta.namespace) === undefined) return [];
    return found.spec.http.flatMap((own) => joinRoute(route, action, own, found.meta.namespace));
  });
}

/** The delegate of a VirtualService in `namespace`, as `namespace/name`. */
export function delegateName({ name, namespace }: Delegate, own: string): string {
  return `${namespace === "" ? own : namespace}/${name}`;
}

function joinRoute(
  root: HttpRoute<unknown>,
  defaults: Delegate,
  own: HttpRoute<HttpAction | Delegate>,
  namespace: string,
): readonly HttpRoute[] {
  const matches = joinMatches(root.matches, own.matches);
  if (matches === undefined || own.action.kind === "delegate") return [];
  const fault = own.fault ?? root.fault;
  const cors = own.cors ?? root.cors;
  return [
    {
      name: joinNames(root.name, own.name),
      matches,
      action: joinAction(defaults, own.action, namespace),
      headers: isEmpty(own.headers) ? root.headers : own.headers,
      ...(fault === undefined ? {} : { fault }),
      ...(cors === undefined ? {} : { cors }),
    },
  ];
}

function joinNames(root: string, own: string): string {
  return root === "" || own === "" ? root + own : `${root}-${own}`;
}

function joinAction({ rewrite, timeout, retries, mirrors }: Delegate, own: HttpAction, namespace: string): HttpAction {
  if (own.kind !== "forward") return own;
  const qualify = <D extends Destination>(destination: D): D => ({ ...destination, host: resolveHost(destination.host, namespace) });
  return {
    ...(rewrite === undefined ? {} : { rewrite }),
    ...(timeout === undefined ? {} : { timeout }),
    ...(retries === undefined ? {} : { retries }),
    ...own,
    // Short names are those of the namespace they were written in.
    destinations: own.destinations.map(qualify),
    mirrors: own.mirrors.length === 0 ? mirrors : own.mirrors.map((mirror) => ({ ...mirror, destination: qualify(mirror.destination) })),
  };
}

function isEmpty({ request, response }: HeaderRules): boolean {
  return [request, response].every(({ set, add, remove }) => Object.keys(set).length + Object.keys(add).length + remove.length === 0);
}
