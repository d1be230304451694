// Forward actions compiled: which cluster, which path and host, which hash.
import type { ForwardAction, MirrorPolicy, RouteMatch, WeightedCluster } from "../../envoy/route/route.ts";
import type { Issue } from "../../error.ts";
import { compileHashPolicies } from "./hash-policy.ts";
import type { FormatCompiler } from "./header-mutator.ts";
import { compileLevel } from "./header-mutator.ts";
import { compileHostRewrite, compilePathRewrite } from "./rewrite.ts";
import type { CompiledForward } from "./route-table.ts";

/** The cluster of one request with what belongs to that choice. */
export type ClusterPick = ReturnType<CompiledForward["pickCluster"]>;

/** A compiled forward action and, when its target is weighted, what each of the clusters stands for. */
export interface ForwardParts {
  readonly action: CompiledForward;
  readonly picks: readonly ClusterPick[];
}

/**
 * Compiles a forward action. Throws when a regex is not valid RE2; what is wrong with formats goes into `issues`.
 * @param mirrors of the levels above, for a route that has none
 */
export function compileForward(
  model: ForwardAction,
  match: RouteMatch,
  mirrors: readonly MirrorPolicy[],
  compileFormat: FormatCompiler,
  path: Issue["path"],
  issues: Issue[],
): ForwardParts {
  const { target } = model;
  const picks =
    target.kind === "weighted"
      ? target.clusters.map((cluster, i) =>
          weightedPick(cluster, compileFormat, [...path, "route", "weighted_clusters", "clusters", i], issues),
        )
      : [];
  const action: CompiledForward = {
    kind: "route",
    model,
    mirrors: model.mirrors.length > 0 ? model.mirrors : mirrors,
    pickCluster: compilePick(target, picks),
    rewritePath: compilePathRewrite(match, { prefix: model.prefixRewrite ?? "", regex: model.regexRewrite }),
    rewriteHost: compileHostRewrite(model.hostRewrite),
    hash: compileHashPolicies(model.hashPolicy),
  };
  return { action, picks };
}

/** Which of the weighted clusters a draw in [0, 1) falls on. */
export function drawCluster(clusters: readonly WeightedCluster[], totalWeight: number, random: number): number {
  let left = random * totalWeight;
  for (let i = 0; i < clusters.length; i++) {
    left -= clusters[i]!.weight;
    if (left < 0) return i;
  }
  // Only rounding gets here.
  return clusters.length - 1;
}

function compilePick(target: ForwardAction["target"], picks: readonly ClusterPick[]): CompiledForward["pickCluster"] {
  switch (target.kind) {
    case "cluster": {
      const pick: ClusterPick = { name: target.name };
      return () => pick;
    }
    case "clusterHeader": {
      const name = target.name.toLowerCase();
      // No header, no cluster of that name: cluster_not_found, as in Envoy.
      return (request) => ({ name: (name === ":authority" ? request.authority : request.headers.get(name)) ?? "" });
    }
    case "weighted": {
      const { clusters, totalWeight } = target;
      return (_request, random) => picks[drawCluster(clusters, totalWeight, random)]!;
    }
  }
}

function weightedPick(cluster: WeightedCluster, compileFormat: FormatCompiler, path: Issue["path"], issues: Issue[]): ClusterPick {
  const { request, response } = compileLevel(cluster.headers, compileFormat, path, issues);
  return {
    name: cluster.name,
    ...(request && { requestHeaders: request }),
    ...(response && { responseHeaders: response }),
    ...(cluster.hostRewriteLiteral && { hostRewrite: cluster.hostRewriteLiteral }),
  };
}
