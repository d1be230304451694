// The third step: what the listener filters see, and which filter chain is chosen by it.
import type { FilterChain, Listener } from "../../envoy/listener/listener.ts";
import { listenerFilters } from "../../filter/registry.ts";
import { compileFilterChains, matchCriteria } from "../../listener/filter-chain-manager.ts";
import { createInspectionPlan } from "../../listener/inspection.ts";
import { compileSniDnat, isSniDnatChain } from "../../listener/sni-dnat.ts";
import { ConnectionInfo } from "../../telemetry/stream-info.ts";
import { unrecorded } from "../../telemetry/unrecorded.ts";
import { type ExplainConfig, knowsClient } from "../config.ts";
import { describeCriterion } from "../describe.ts";
import type { Narrative, StepWriter, Verdict } from "../explanation.ts";
import type { Arrival } from "../arrival.ts";
import { judgeFilters, unheard } from "../filters.ts";
import { nearestNames } from "./dns.ts";
import { whatRefusalMeans } from "./refusals.ts";
import { tellJudgement } from "./policy.ts";

/** The chain, and the connection as its filters see it. */
export interface ChosenChain {
  readonly chain: FilterChain;
  readonly info: ConnectionInfo;
  readonly sniDnat: boolean;
}

/** Stands for an address that only the world outside knows (RFC 5737). */
const somewhere = "192.0.2.1";
/** No source port matters to chains that istiod makes; ephemeral ones start here. */
const clientPort = 32_768;

/** Chooses the chain, or says why there is none. */
export function chooseChain(config: ExplainConfig, arrival: Arrival, story: Narrative): ChosenChain | Verdict {
  const { listener } = arrival;
  const info = new ConnectionInfo(0, 0, 0, clientOf(config, arrival), { ip: arrival.ip ?? somewhere, port: arrival.port });
  const closed = inspect(listener, info, arrival.bytes);
  const matcher = compileFilterChains(listener);
  const seen = describeSeen(listener, info);
  if (closed !== undefined || !matcher.ok) {
    const details = closed ?? "-";
    story.step("filter_chain", `refused before a chain is chosen: ${details}`, { ...seen.data }, true);
    return { sent: false, flags: "-", details, text: `closed by the listener's inspectors: ${details}` };
  }
  const index = matcher.value.find(info);
  const chain = index === undefined ? listener.defaultFilterChain : listener.filterChains[index];
  if (chain === undefined) {
    const why = compileSniDnat(listener)?.whyNoChain(info, arrival.bytes) ?? "filter_chain_not_found";
    const step = story.step("filter_chain", `none: ${why}`, { ...seen.data, reason: why }, true).because(seen.text);
    const meaning = whatRefusalMeans(why);
    if (meaning !== undefined) step.because(meaning);
    explainMisses(listener, info, matcher.value.missedAt(info), step);
    return { sent: false, flags: "NR", details: why, text: `the connection is closed: no filter chain takes it (${why})` };
  }
  const name = nameOf(listener, chain);
  const step = story.step("filter_chain", name, { ...seen.data, chain: name, default: index === undefined }).because(seen.text);
  if (index === undefined) {
    step.because("the default chain: no other one matches");
    explainMisses(listener, info, matcher.value.missedAt(info), step);
  } else {
    const wanted = matchCriteria.map((criterion) => [criterion, describeCriterion(chain.match, criterion)] as const);
    const said = wanted.filter(([, text]) => text !== "anything").map(([criterion, text]) => `${criterion} ${text}`);
    step.because(said.length === 0 ? "takes every connection" : `matches ${said.join("; ")}`);
  }
  const source = config.mesh?.source(chain.metadata);
  if (source !== undefined) step.all([source]);
  if (chain.transportSocket.kind === "tls")
    step.because(`TLS ends here${chain.transportSocket.tls.requireClientCertificate ? ", with a certificate demanded of the client" : ""}`);
  const refused = runNetworkFilters(config, chain, info, story);
  return refused ?? { chain, info, sniDnat: isSniDnatChain(chain) };
}

/** The application is beside its sidecar; who calls a gateway is not part of the question. */
function clientOf({ addresses, router }: ExplainConfig, { ip }: Arrival): { readonly ip: string; readonly port: number } {
  const family = (ip ?? somewhere).includes(":");
  const own = router ? undefined : addresses.find((address) => address.includes(":") === family);
  return { ip: own ?? (family ? "2001:db8::1" : "198.51.100.1"), port: clientPort };
}

/** Runs the listener filters over the first bytes; gives the details when one of them closes the connection. */
function inspect(listener: Listener, info: ConnectionInfo, bytes: Buffer): string | undefined {
  // A header of the PROXY protocol is taken for granted: it changes addresses, not what is asked for.
  const filters = listener.listenerFilters.filter(({ extension }) => extension !== "envoy.filters.listener.proxy_protocol");
  const plan = createInspectionPlan({ ...listener, listenerFilters: filters }, { listenerFilters, stats: unrecorded, logger: unheard });
  for (const { filter, disabled } of plan.filters) {
    // What needs no bytes asks the kernel for the original destination, which is given here.
    if (!filter.needsBytes || disabled?.(info) === true) continue;
    const verdict = filter.inspect(info, bytes, -1);
    if (verdict.kind === "close") return verdict.details;
  }
  return undefined;
}

function describeSeen(
  listener: Listener,
  info: ConnectionInfo,
): { readonly text: string; readonly data: Readonly<Record<string, unknown>> } {
  const inspectors = listener.listenerFilters.map(({ extension }) => extension.replace("envoy.filters.listener.", ""));
  const transport = info.transportProtocol || "raw_buffer";
  const parts = [
    transport,
    ...(info.serverName === "" ? [] : [`server name ${info.serverName}`]),
    ...(info.applicationProtocols.length === 0 ? [] : [`application protocols ${info.applicationProtocols.join(", ")}`]),
  ];
  return {
    text: `seen ${inspectors.length === 0 ? "without inspectors" : `by ${inspectors.join(", ")}`}: ${parts.join("; ")}`,
    data: {
      listener: listener.name,
      transportProtocol: transport,
      serverName: info.serverName,
      applicationProtocols: info.applicationProtocols,
    },
  };
}

const maxListed = 5;

/** Says of the nearest chains what they want instead: each is asked as if it were alone. */
function explainMisses(listener: Listener, info: ConnectionInfo, at: (typeof matchCriteria)[number] | undefined, step: StepWriter): void {
  if (at !== undefined) step.because(`no chain meets ${at}`);
  const misses = listener.filterChains.flatMap((chain) => {
    const alone = compileFilterChains({ filterChains: [chain] });
    const missed = alone.ok ? alone.value.missedAt(info) : undefined;
    return missed === undefined ? [] : [{ chain, missed, depth: matchCriteria.indexOf(missed) }];
  });
  const deepest = Math.max(-1, ...misses.map(({ depth }) => depth));
  const nearestMisses = misses.filter(({ depth }) => depth === deepest);
  const named = nearestMisses.filter(({ missed }) => missed === "server_names");
  if (named.length > maxListed) {
    const names = nearestNames([...new Set(named.flatMap(({ chain }) => chain.match.serverNames))], info.serverName);
    step.because(`${named.length} chains want another server_names${names.length === 0 ? "" : `; the nearest are ${names.join(", ")}`}`);
    return;
  }
  if (named.length > 0)
    step.because(`server_names there are: ${[...new Set(named.flatMap(({ chain }) => chain.match.serverNames))].join(", ")}`);
  for (const { chain, missed } of nearestMisses.filter((each) => each.missed !== "server_names").slice(0, maxListed))
    step.because(`chain ${nameOf(listener, chain)} wants ${missed} ${describeCriterion(chain.match, missed)}`);
}

function nameOf(listener: Listener, chain: FilterChain): string {
  if (chain.name !== "") return chain.name;
  const index = listener.filterChains.indexOf(chain);
  if (chain.match.serverNames.length > 0) return chain.match.serverNames.join(", ");
  return index < 0 ? `the default chain of ${listener.name}` : `${listener.name} chain ${index}`;
}

/** What network filters before the last one do: the SNI may name the cluster, and policies may refuse. */
function runNetworkFilters(config: ExplainConfig, chain: FilterChain, info: ConnectionInfo, story: Narrative): Verdict | undefined {
  if (chain.filters.some(({ extension }) => extension === "envoy.filters.network.sni_cluster")) info.clusterOverride = info.serverName;
  const judgement = judgeFilters(chain.filters, {
    connection: info,
    request: undefined,
    nowSeconds: 0,
    clientKnown: knowsClient(config),
    policies: config.mesh?.policies,
  });
  if (judgement === undefined) return undefined;
  tellJudgement(judgement, { name: config.name, address: "" }, story);
  const details = judgement.refusal?.details;
  return details === undefined ? undefined : { sent: false, flags: "-", details, text: `the connection is closed: ${details}` };
}
