// The sixth step: the endpoints of a cluster as the balancer sees them, and those of the service that are not among them.
import { isDeepStrictEqual } from "node:util";
import type { Cluster } from "../../envoy/cluster/cluster.ts";
import { replies } from "../../http/local-reply.ts";
import { flag, formatFlags } from "../../telemetry/response-flag.ts";
import type { ConnectionInfo } from "../../telemetry/stream-info.ts";
import { flattenAssignment } from "../../upstream/discovery/resolved-endpoints.ts";
import { formatAddress, type ResolvedEndpoint } from "../../upstream/host.ts";
import { createBalancer } from "../../upstream/lb/balancer.ts";
import { spreadLoad } from "../../upstream/lb/priority-load.ts";
import { assignmentOf, type ExplainConfig } from "../config.ts";
import { describeLocality } from "../describe.ts";
import { type Narrative, type Reason, sent, type StepWriter, type Verdict } from "../explanation.ts";
import type { Arrival, Target } from "../arrival.ts";
import { replied, upstreamFailed } from "../failure.ts";
import type { MissingEndpoint } from "../knowledge.ts";
import { followTls } from "./tls.ts";
import { whatRefusalMeans } from "./refusals.ts";

/** A cluster on the way. */
export interface AtCluster {
  readonly cluster: Cluster;
  readonly target: Target;
  readonly arrival: Arrival;
  readonly info: ConnectionInfo;
}

/** The metadata namespace that a route's metadata_match looks at. */
const subsetNamespace = "envoy.lb";
const maxListed = 20;

/** Lists the endpoints and goes on to those that may be picked. */
export function followEndpoints(config: ExplainConfig, at: AtCluster, story: Narrative): Verdict {
  const { cluster, target, arrival } = at;
  if (cluster.type === "ORIGINAL_DST") return followOriginalDst(config, at, story);
  const assignment = assignmentOf(config, cluster);
  const wanted = Object.entries(target.metadataMatch);
  const endpoints = flattenAssignment(assignment).filter(({ metadata }) =>
    wanted.every(([key, value]) => isDeepStrictEqual(metadata[subsetNamespace]?.[key], value)),
  );
  const missing = config.mesh?.missing(cluster) ?? [];
  const options = {
    policy: cluster.lbPolicy,
    localityWeighted: cluster.localityWeightedLb,
    overprovisioningFactor: assignment?.overprovisioningFactor ?? 140,
    panicThreshold: cluster.healthyPanicThreshold,
  };
  const balancer = createBalancer(
    endpoints.map((endpoint) => ({ ...endpoint, activeRequests: 0 })),
    options,
    () => 0,
  );
  const picked = balancer.pick({ hash: undefined, avoid: undefined, avoidAttempts: 0 });
  const usable = picked !== undefined && cluster.name !== "BlackHoleCluster";
  const count = endpoints.length === 1 ? "1 endpoint" : `${endpoints.length === 0 ? "no" : endpoints.length} endpoints`;
  const loads = loadOf(endpoints, options.overprovisioningFactor, options.panicThreshold);
  const step = story.step(
    "endpoints",
    usable || endpoints.length === 0 ? count : `${count}, none of which may be used`,
    endpointData(config, cluster, endpoints, loads, missing),
    !usable,
  );
  listEndpoints(config, cluster, endpoints, loads, step);
  for (const { address, cluster: from, why, place, text } of missing) {
    step.because(`not there: ${address}${from === "" ? "" : ` in ${from}`}, ${text} (${why})`, place);
  }
  if (usable) return followTls(config, at, pickable(endpoints, picked.health), story);
  if (endpoints.length === 0 && cluster.name !== "BlackHoleCluster") story.warn("no_endpoints", `${cluster.name} has no endpoints`);
  return noHost(cluster, target, endpoints, arrival);
}

/** Hosts that the balancer treats as it treats the one it picked. */
function pickable(endpoints: readonly ResolvedEndpoint[], health: ResolvedEndpoint["health"]): readonly ResolvedEndpoint[] {
  return endpoints.filter((endpoint) => endpoint.health === health);
}

function noHost(cluster: Cluster, { http, sniDnat }: Target, endpoints: readonly ResolvedEndpoint[], { request }: Arrival): Verdict {
  const why =
    cluster.name === "BlackHoleCluster"
      ? "the outbound traffic policy is REGISTRY_ONLY"
      : endpoints.length === 0
        ? "the cluster has no endpoints"
        : "no endpoint is healthy";
  if (http !== undefined && request !== undefined) return replied(replies.noHealthyUpstream, `answered with 503: ${why}`);
  // As the TCP proxy names it at an east-west gateway.
  const details = sniDnat ? (endpoints.length === 0 ? "no_mtls_endpoints" : "all_unhealthy") : "-";
  return { sent: false, flags: formatFlags(flag.UH), details, text: `the connection is closed: ${whatRefusalMeans(details) ?? why}` };
}

/** Onward to where the client wanted to go anyway. */
function followOriginalDst(config: ExplainConfig, at: AtCluster, story: Narrative): Verdict {
  const { cluster, arrival } = at;
  const port = cluster.originalDst.portOverride || arrival.port;
  const address = arrival.ip === undefined ? `what the name stands for, port ${port}` : formatAddress({ address: arrival.ip, port });
  story
    .step("endpoints", `${address}: the original destination`, { endpoints: arrival.ip === undefined ? [] : [{ address }], missing: [] })
    .because("the caller chose the address, so no health, locality or retention is looked at");
  const dead = arrival.ip === undefined ? undefined : config.mesh?.unanswered(arrival.ip, port);
  if (dead !== undefined) return unanswered(at, dead, story);
  if (arrival.ip === undefined) return sent(`goes to ${address}, as the caller addressed it`);
  const endpoint: ResolvedEndpoint = {
    address: { address: arrival.ip, port },
    addressText: address,
    additionalAddresses: [],
    hostname: "",
    weight: 1,
    priority: 0,
    locality: { region: "", zone: "", subZone: "" },
    localityWeight: 0,
    metadata: {},
    health: "healthy",
    status: "UNKNOWN",
  };
  return followTls(config, at, [endpoint], story);
}

/** Nobody is at the original destination. */
function unanswered({ target }: AtCluster, { text, place }: Reason, story: Narrative): Verdict {
  story.warn("no_endpoints", text, place);
  return upstreamFailed(target, "upstream_connect_failed", false, `nobody answers: ${text}`);
}

/** Percent of the load of each priority, as health stands in the assignment. */
function loadOf(endpoints: readonly ResolvedEndpoint[], overprovisioning: number, panicThreshold: number): readonly number[] {
  const priorities = Math.max(0, ...endpoints.map(({ priority }) => priority + 1));
  const counts = Array.from({ length: priorities }, (_, priority) => {
    const members = endpoints.filter((endpoint) => endpoint.priority === priority);
    const having = (health: ResolvedEndpoint["health"]): number => members.filter((endpoint) => endpoint.health === health).length;
    return { total: members.length, healthy: having("healthy"), degraded: having("degraded") };
  });
  const { healthy, degraded } = spreadLoad(counts, overprovisioning, panicThreshold);
  return healthy.map((load, priority) => load + (degraded[priority] ?? 0));
}

function listEndpoints(
  config: ExplainConfig,
  cluster: Cluster,
  endpoints: readonly ResolvedEndpoint[],
  loads: readonly number[],
  step: StepWriter,
): void {
  for (const endpoint of endpoints.slice(0, maxListed)) {
    const { addressText, weight, priority, locality, localityWeight, health } = endpoint;
    const gateway = config.mesh?.gateway(addressText);
    const facts = gateway === undefined ? config.mesh?.endpoint(cluster, addressText) : undefined;
    const what =
      gateway !== undefined
        ? `gateway of ${gateway.network}, ${gateway.cluster}`
        : [facts?.workload, facts?.cluster, facts?.network].filter((part) => part !== undefined && part !== "").join(", ");
    const place = [
      describeLocality(locality),
      `priority ${priority} (${loads[priority] ?? 0} % of the load)`,
      `weight ${weight}`,
      ...(cluster.localityWeightedLb ? [`locality weight ${localityWeight}`] : []),
      ...(health === "healthy" ? [] : [health]),
    ];
    step.because(`${addressText}${what === "" ? "" : ` ${what}`}: ${place.join(", ")}`, gateway?.place);
  }
  if (endpoints.length > maxListed) step.because(`and ${endpoints.length - maxListed} more`);
}

function endpointData(
  config: ExplainConfig,
  cluster: Cluster,
  endpoints: readonly ResolvedEndpoint[],
  loads: readonly number[],
  missing: readonly MissingEndpoint[],
): Readonly<Record<string, unknown>> {
  return {
    cluster: cluster.name,
    loadByPriority: loads,
    endpoints: endpoints.map(({ addressText, weight, priority, locality, localityWeight, health }) => {
      const gateway = config.mesh?.gateway(addressText);
      const facts = gateway ?? config.mesh?.endpoint(cluster, addressText);
      return {
        address: addressText,
        health,
        priority,
        weight,
        locality: describeLocality(locality),
        localityWeight,
        gateway: gateway !== undefined,
        ...(facts === undefined ? {} : { cluster: facts.cluster, network: facts.network }),
      };
    }),
    missing: missing.map(({ address, cluster: from, why }) => ({ address, cluster: from, why })),
  };
}
