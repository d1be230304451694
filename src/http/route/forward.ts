// Forward actions compiled: which cluster, which path and host, which hash.
import type { ForwardAction, MirrorPolicy, RouteMatch, WeightedCluster, WeightedTarget } from "../../envoy/route/route.ts";
import type { Issue } from "../../error.ts";
import { remainder } from "../../match/xxhash64.ts";
import { compileHashPolicies } from "./hash-policy.ts";
import type { FormatCompiler } from "./header-mutator.ts";
import { compileLevel } from "./header-mutator.ts";
import { compileFormattedPath, compileHostRewrite, compilePathRewrite, compileTemplateRewrite } from "./rewrite.ts";
import type { CompiledForward, RouteRequest } from "./route-table.ts";

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
          weightedPick(cluster, model.metadataMatch, compileFormat, [...path, "route", "weighted_clusters", "clusters", i], issues),
        )
      : [];
  const action: CompiledForward = {
    kind: "route",
    model,
    mirrors: model.mirrors.length > 0 ? model.mirrors : mirrors,
    pickCluster: compilePick(target, picks),
    rewritePath: compileRewrite(model, match, compileFormat),
    rewriteHost: compileHostRewrite(model.hostRewrite),
    hash: compileHashPolicies(model.hashPolicy),
  };
  return { action, picks };
}

function compileRewrite(model: ForwardAction, match: RouteMatch, compileFormat: FormatCompiler): CompiledForward["rewritePath"] {
  const { prefixRewrite, regexRewrite, pathFormat, pathTemplateRewrite } = model;
  if (pathFormat !== undefined && pathFormat !== "") return compileFormattedPath(pathFormat, compileFormat);
  if (pathTemplateRewrite !== undefined) return compileTemplateRewrite(match, pathTemplateRewrite);
  return compilePathRewrite(match, { prefix: prefixRewrite ?? "", regex: regexRewrite });
}

/** Chooses one of the weighted clusters, by their index. */
export type ClusterDraw = (request: RouteRequest, random: number) => number;

/** Compiles the choice: by chance, by the number that a header gives, so that hops can agree, or by the route's hash. */
export function compileDraw({ clusters, totalWeight, randomHeader, hashPolicy = [] }: WeightedTarget): ClusterDraw {
  const hash = compileHashPolicies(hashPolicy);
  if (hash !== undefined)
    return (request, random) => {
      const found = request.info === undefined ? undefined : hash(request, request.info).hash;
      return drawCluster(clusters, totalWeight, found === undefined ? random : (remainder(found, totalWeight) + 0.5) / totalWeight);
    };
  if (randomHeader === undefined) return (_request, random) => drawCluster(clusters, totalWeight, random);
  const name = randomHeader.toLowerCase();
  return (request, random) => {
    const value = request.headers.get(name);
    const given = value !== undefined && /^[0-9]{1,20}$/.test(value);
    // The half keeps rounding from falling on the cluster before.
    const share = given ? (Number(BigInt(value) % BigInt(totalWeight)) + 0.5) / totalWeight : random;
    return drawCluster(clusters, totalWeight, share);
  };
}

/** Which of the weighted clusters a draw in [0, 1) falls on. */
function drawCluster(clusters: readonly WeightedCluster[], totalWeight: number, random: number): number {
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
      const draw = compileDraw(target);
      const headers = target.clusters.map(({ clusterHeader }) => clusterHeader?.toLowerCase());
      if (headers.every((header) => header === undefined)) return (request, random) => picks[draw(request, random)]!;
      return (request, random) => {
        const at = draw(request, random);
        const header = headers[at];
        return header === undefined ? picks[at]! : { ...picks[at]!, name: request.headers.get(header) ?? "" };
      };
    }
  }
}

function weightedPick(
  cluster: WeightedCluster,
  metadataMatch: ForwardAction["metadataMatch"],
  compileFormat: FormatCompiler,
  path: Issue["path"],
  issues: Issue[],
): ClusterPick {
  const { request, response } = compileLevel(cluster.headers, compileFormat, path, issues);
  return {
    name: cluster.name,
    ...(request && { requestHeaders: request }),
    ...(response && { responseHeaders: response }),
    ...(cluster.metadataMatch && { metadataMatch: { ...metadataMatch, ...cluster.metadataMatch } }),
    ...(cluster.hostRewriteLiteral && { hostRewrite: cluster.hostRewriteLiteral }),
  };
}
