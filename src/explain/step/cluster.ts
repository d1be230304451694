// The fifth step: the cluster with its policies, and on to its endpoints.
import type { Cluster } from "../../envoy/cluster/cluster.ts";
import { flag, formatFlags } from "../../telemetry/response-flag.ts";
import type { ConnectionInfo } from "../../telemetry/stream-info.ts";
import type { ExplainConfig } from "../config.ts";
import { describeBreakers, describeLb, describeOutliers, percent, seconds } from "../describe.ts";
import type { Narrative, Verdict } from "../explanation.ts";
import type { Arrival, Target } from "../arrival.ts";
import { followEndpoints } from "./endpoints.ts";

/** Follows one share of the traffic. */
export function followCluster(config: ExplainConfig, target: Target, arrival: Arrival, info: ConnectionInfo, story: Narrative): Verdict {
  const cluster = config.snapshot.clusters.get(target.cluster)?.value;
  const share = target.share === 1 ? "" : ` (${percent(target.share)})`;
  if (cluster === undefined) return noCluster(config, target, share, story);
  const { circuitBreakers, http } = cluster;
  const breakers = describeBreakers(circuitBreakers.default);
  const outliers = describeOutliers(cluster);
  const step = story.step("cluster", `${cluster.name}${share}`, clusterData(cluster, target.share));
  step.because(
    `${cluster.type}, ${describeLb(cluster.lbPolicy)}, connect timeout ${seconds(cluster.connectTimeoutMs)}${target.http === undefined ? "" : `, ${http.protocol}`}`,
  );
  step.because(`limits: ${breakers}; outlier detection: ${outliers ?? "none"}`);
  step.all(config.mesh?.aboutCluster(cluster) ?? []);
  for (const { code, text, place } of config.mesh?.warnings(cluster) ?? []) story.warn(code, text, place);
  return followEndpoints(config, { cluster, target, arrival, info }, story);
}

function clusterData(cluster: Cluster, share: number): Readonly<Record<string, unknown>> {
  const { name, type, lbPolicy, connectTimeoutMs, circuitBreakers, outlierDetection, metadata } = cluster;
  return {
    cluster: name,
    share,
    type,
    lbPolicy: lbPolicy.kind,
    connectTimeoutMs,
    circuitBreakers: circuitBreakers.default,
    outlierDetection: outlierDetection !== undefined,
    subset: metadata["istio"]?.["subset"] ?? "",
  };
}

function noCluster(config: ExplainConfig, { cluster, unknownStatus }: Target, share: string, story: Narrative): Verdict {
  const findings = config.mesh?.whyNoCluster(cluster) ?? [];
  story.step("cluster", `${cluster === "" ? "no cluster" : `${cluster}${share} is not there`}`, { cluster }, true).all(findings);
  for (const { code, text, place } of findings) story.warn(code, text, place);
  const flags = formatFlags(flag.NC);
  if (unknownStatus === undefined)
    return { sent: false, flags, details: "-", text: `the connection is closed: there is no cluster ${cluster}` };
  const text = `answered with ${unknownStatus}: there is no cluster ${cluster}`;
  return { sent: false, status: unknownStatus, flags, details: "cluster_not_found", text };
}
