// The first step: what the client's resolver is told, and so where the connection is addressed to.
import { isIP } from "node:net";
import { lookUpName, tableNames } from "../../dns/lookup.ts";
import { nearest } from "../../envoy/decode/nearest.ts";
import type { ExplainConfig } from "../config.ts";
import type { Narrative, Verdict } from "../explanation.ts";
import type { RequestQuestion } from "../question.ts";

/** Where a connection is addressed to. */
export interface Destination {
  readonly host: string;
  /** Undefined: what a name outside the mesh stands for is not known here. */
  readonly ip: string | undefined;
  readonly port: number;
}

/** Resolves the host of a question, or says that it cannot be. */
export function resolveHost(config: ExplainConfig, { host, port }: RequestQuestion, story: Narrative): Destination | Verdict {
  if (isIP(host) !== 0) {
    story
      .step("dns", `${host} is an address`, { name: host, source: "literal", addresses: [host] })
      .all(config.mesh?.atAddress(host, port) ?? []);
    return { host, ip: host, port };
  }
  if (config.router || (config.names === undefined && config.mesh === undefined)) {
    story.step("dns", `${host} leads to this proxy`, { name: host, source: "assumed", addresses: config.addresses });
    return { host, ip: config.addresses[0], port };
  }
  const found = config.names && lookUpName(config.names, host);
  if (found !== undefined) {
    const { owner, addresses, wildcard } = found;
    const step = story.step("dns", `${host} is ${addresses.join(", ")}`, { name: host, source: "mesh", owner, addresses });
    if (wildcard) step.because(`no entry of its own: ${owner} covers it`);
    else if (owner !== host) step.because(`short for ${owner}`);
    step.all(config.mesh?.aboutName(owner, addresses) ?? []);
    return { host, ip: addresses[0], port };
  }
  return askUpstream(config, host, port, story);
}

/** What the mesh does not name is for the servers of resolv.conf; in Kubernetes those know the Services of their own cluster. */
function askUpstream(config: ExplainConfig, host: string, port: number, story: Narrative): Destination | Verdict {
  const { mesh, names } = config;
  const findings = mesh?.whyNoName(host) ?? [];
  const own = mesh?.clusterDns(host);
  const step = story.step(
    "dns",
    own === undefined
      ? `${host} is no name of the mesh: forwarded upstream`
      : `${host} is ${own.addresses.join(", ")}, as the cluster's own DNS says`,
    { name: host, source: own === undefined ? "upstream" : "cluster", addresses: own?.addresses ?? [] },
    own === undefined && isClusterName(host),
  );
  if (names === undefined) step.because("this proxy answers no DNS: ISTIO_META_DNS_CAPTURE is not true for it");
  step.all(findings);
  for (const { code, text, place } of findings) story.warn(code, text, place);
  if (own !== undefined) {
    step.all([own.reason]);
    return { host, ip: own.addresses[0], port };
  }
  const near = nearestNames(names === undefined ? [] : tableNames(names), host);
  if (near.length > 0) {
    step.because(`the nearest names are ${near.join(", ")}`);
    story.warn("unknown_name", `${host} is no name of the mesh; the nearest are ${near.join(", ")}`);
  }
  if (!isClusterName(host)) {
    story.warn("unknown_outside", `what ${host} resolves to upstream is not known here; any address outside the mesh is assumed`);
    return { host, ip: undefined, port };
  }
  return {
    sent: false,
    flags: "-",
    details: "-",
    text: `${host} does not resolve: neither the mesh nor the cluster has it, so nothing is dialled`,
  };
}

/** True for names that no DNS outside the cluster has: single labels, and those of the cluster's domain. */
function isClusterName(host: string): boolean {
  return !host.includes(".") || /\.(?:svc|cluster\.local|svc\.cluster\.local)$/.test(host);
}

const maxNear = 3;

/** The nearest few names, the nearest first. */
export function nearestNames(names: readonly string[], host: string): readonly string[] {
  const left = new Set(names);
  const found: string[] = [];
  while (found.length < maxNear) {
    const name = nearest(host, left);
    if (name === undefined) break;
    left.delete(name);
    found.push(name);
  }
  return found;
}
