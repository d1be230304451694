// The last step: how each endpoint is dialled, and for a gateway of another network what that gateway makes of it.
import type { HttpConnectionManagerConfig } from "../../envoy/listener/http-connection-manager.ts";
import type { IstioAlpnConfig } from "../../envoy/http-filter/istio-alpn.ts";
import type { UpstreamTlsContext } from "../../envoy/tls/tls.ts";
import type { Cluster } from "../../envoy/cluster/cluster.ts";
import { compileAlpnOffers } from "../../filter/http/istio-alpn/istio-alpn.ts";
import { normalizePath } from "../../http/path.ts";
import type { CheckedRequest } from "../../filter/http/jwt-authn/token-check.ts";
import { type ConnectionInfo, StreamInfo } from "../../telemetry/stream-info.ts";
import type { ResolvedEndpoint } from "../../upstream/host.ts";
import { compileTransportSockets } from "../../upstream/transport-sockets.ts";
import { HeaderMap } from "../../wire/header-map.ts";
import type { ExplainConfig } from "../config.ts";
import { expectedSans } from "../describe.ts";
import { type Narrative, sent, type Verdict } from "../explanation.ts";
import type { Arrival } from "../arrival.ts";
import { upstreamFailed } from "../failure.ts";
import type { FarGateway } from "../knowledge.ts";
import { authorityOf } from "../question.ts";
import { tellJudgement } from "./policy.ts";
import type { AtCluster } from "./endpoints.ts";

/** Hosts that are dialled alike. */
interface Dialled {
  readonly tls: UpstreamTlsContext | undefined;
  readonly endpoints: readonly ResolvedEndpoint[];
}

/** Says how the endpoints are dialled and how that ends; the verdict is a failure when one of them cannot work. */
export function followTls(config: ExplainConfig, at: AtCluster, endpoints: readonly ResolvedEndpoint[], story: Narrative): Verdict {
  const { cluster, target } = at;
  const transportOf = compileTransportSockets(cluster, (tls) => tls);
  const groups = [...Map.groupBy(endpoints, ({ metadata }) => transportOf(metadata))].map(([{ tls }, members]): Dialled => ({
    tls,
    endpoints: members,
  }));
  const asking: Asking = { config, at, story, asked: new Map(), judged: new Set() };
  const failures: Verdict[] = [];
  let ways = 0;
  for (const group of groups) {
    const alpn = tellDialled(config, at, group, story);
    for (const endpoint of group.endpoints) {
      ways++;
      const failure = failureAt(asking, endpoint, group, alpn);
      if (failure !== undefined) failures.push(failure);
    }
  }
  const [failure] = failures;
  if (failure !== undefined)
    return failures.length === ways ? failure : { ...failure, text: `${failures.length} of ${ways} endpoints: ${failure.text}` };
  const [first] = endpoints;
  return sent(`sent to ${endpoints.length === 1 ? first?.addressText : `one of ${endpoints.length} endpoints`} of ${target.cluster}`);
}

/** Tells one way of dialling; gives the ALPN list that is offered. */
function tellDialled(
  config: ExplainConfig,
  { cluster, target, arrival, info }: AtCluster,
  { tls, endpoints }: Dialled,
  story: Narrative,
): readonly string[] {
  const to = endpoints.length > 3 ? `${endpoints.length} endpoints` : endpoints.map(({ addressText }) => addressText).join(", ");
  const whys = new Map(
    endpoints.flatMap((endpoint) => {
      const why = config.mesh?.endpoint(cluster, endpoint.addressText)?.whyTls;
      return why === undefined ? [] : [[why.text, why] as const];
    }),
  );
  if (tls === undefined) {
    const passed = info.transportProtocol === "tls" || arrival.request?.protocol === "tls";
    const answer = passed ? `the client's own TLS is passed on, unopened, to ${to}` : `plain text to ${to}`;
    story
      .step("tls", answer, { tls: false, passedThrough: passed, endpoints: endpoints.map(({ addressText }) => addressText) })
      .all(passed ? [] : [...whys.values()]);
    return [];
  }
  const offer = target.http === undefined ? undefined : alpnOf(target.http, cluster);
  const alpn = offer ?? tls.common.alpnProtocols;
  const sans = expectedSans(tls);
  const data = { tls: true, sni: tls.sni, alpn, sans: sans ?? [], endpoints: endpoints.map(({ addressText }) => addressText) };
  story
    .step("tls", `TLS to ${to}`, data)
    .because(tls.sni === "" ? "no SNI" : `SNI ${tls.sni}`)
    .because(alpn.length === 0 ? "no ALPN" : `ALPN ${alpn.join(", ")}${offer === undefined ? "" : " (from the istio.alpn filter)"}`)
    .because(sans === undefined ? "any name of the trusted roots is accepted" : `the server has to be ${sans.join(" or ")}`)
    .all([...whys.values()]);
  return alpn;
}

function alpnOf({ httpFilters }: HttpConnectionManagerConfig, cluster: Cluster): readonly string[] | undefined {
  const filter = httpFilters.find(({ extension, disabled }) => extension === "istio.alpn" && !disabled);
  return filter && compileAlpnOffers(filter.config as IstioAlpnConfig)?.(cluster, "HTTP/1.1")?.protocols;
}

/** What the endpoints of one cluster are asked with. */
interface Asking {
  readonly config: ExplainConfig;
  readonly at: AtCluster;
  readonly story: Narrative;
  /** Gateways and what they said. */
  readonly asked: Map<string, Verdict | undefined>;
  /** Outcomes of policies that were told. */
  readonly judged: Set<string>;
}

/** Why a connection to this endpoint fails, as far as the directory tells; undefined: it does not. */
function failureAt(asking: Asking, endpoint: ResolvedEndpoint, { tls }: Dialled, alpn: readonly string[]): Verdict | undefined {
  const { config, at, story } = asking;
  const { cluster, target, info } = at;
  const { addressText } = endpoint;
  const last = tls === undefined ? undefined : config.lastFailure?.(cluster.name, addressText);
  if (last !== undefined) {
    const text = `${addressText} could not be connected to the last time: ${last}`;
    story.warn("last_failure", text);
    return upstreamFailed(target, "upstream_tls_failed", false, text);
  }
  const gateway = config.mesh?.gateway(addressText);
  if (gateway !== undefined) return tls === undefined ? undefined : failureAtGateway(asking, gateway, tls.sni, alpn);
  const facts = config.mesh?.endpoint(cluster, addressText);
  if (facts === undefined) return undefined;
  const refused = refusedByPolicy(asking, addressText, tls, facts.workload);
  if (refused !== undefined) return refused;
  if (facts.astray) story.warn("no_gateway", `${addressText} is on ${facts.network}, which has no gateway: it is dialled directly`);
  // TLS of the caller's own, passed on, is no mesh mTLS unless a gateway passes it.
  if (!facts.strict || tls !== undefined || (info.transportProtocol === "tls" && target.sniDnat)) return undefined;
  const text = `${facts.workload || addressText} takes nothing but mTLS (STRICT), and is called in plain text`;
  story.warn("strict_mtls", text, facts.whyTls.place);
  return upstreamFailed(target, "upstream_closed", true, text);
}

/** What the policies at the far end make of the request; told once for each outcome. */
function refusedByPolicy(
  { config, at, story, judged }: Asking,
  address: string,
  tls: Dialled["tls"],
  workload: string,
): Verdict | undefined {
  const { cluster, target, arrival, info } = at;
  const request = target.http === undefined || arrival.request === undefined ? undefined : asSeen(arrival.request, target.http, info);
  const judgement = config.mesh?.judge(cluster, address, {
    mutualTls: tls !== undefined,
    serverName: tls?.sni ?? info.serverName,
    request,
    nowSeconds: arrival.nowSeconds,
  });
  if (judgement === undefined) return undefined;
  const { refusal } = judgement;
  const who = workload === "" ? address : workload;
  const key = `${workload} ${refusal?.details ?? ""}`;
  if (!judged.has(key)) {
    judged.add(key);
    tellJudgement(judgement, { name: who, address }, story);
  }
  if (refusal === undefined) return undefined;
  const text = `${who} refuses it: ${refusal.details}`;
  if (request === undefined) return { sent: false, flags: "-", details: "-", text: `the connection is closed: ${text}` };
  const { status } = refusal;
  return { sent: false, status, flags: "-", details: "via_upstream", text: `answered with ${status}: ${text}` };
}

/** A request as the sidecar at the far end looks at it; nobody there has said anything of it. */
function asSeen(
  request: NonNullable<Arrival["request"]>,
  manager: HttpConnectionManagerConfig,
  connection: ConnectionInfo,
): CheckedRequest {
  const headers = new HeaderMap();
  for (const [name, value] of request.headers) if (name !== "host") headers.add(name, value);
  const authority = request.headers.find(([name]) => name === "host")?.[1] ?? authorityOf(request);
  const normal = normalizePath(request.path, manager);
  const path = normal.kind === "reject" ? request.path : normal.path;
  const info = new StreamInfo(connection, 0, 0);
  const { method } = request;
  return {
    headers,
    method,
    path,
    authority,
    scheme: "http",
    info,
    tls: undefined,
    internal: false,
    route: undefined,
    clearRouteCache: () => {},
  };
}

/** Asks a gateway once, however many endpoints it stands for. */
function failureAtGateway({ at, story, asked }: Asking, gateway: FarGateway, sni: string, alpn: readonly string[]): Verdict | undefined {
  const { arrival, target } = at;
  const key = JSON.stringify([gateway.cluster, gateway.network, gateway.port]);
  const verdict = asked.has(key) ? asked.get(key) : askGateway(arrival.farSide, gateway, sni, alpn, story);
  asked.set(key, verdict);
  if (verdict === undefined || verdict.sent) return undefined;
  const why = `the gateway in ${gateway.cluster} refuses it (${verdict.flags} ${verdict.details})`;
  return upstreamFailed(target, "upstream_tls_failed", false, why);
}

function askGateway(
  farSide: Arrival["farSide"],
  gateway: FarGateway,
  sni: string,
  alpn: readonly string[],
  story: Narrative,
): Verdict | undefined {
  const { network, cluster, config, place } = gateway;
  const data = { network, cluster, sni, proxy: config?.name ?? "" };
  const step = story.step("gateway", `the gateway of ${network} in ${cluster} sees SNI ${sni === "" ? "(none)" : sni}`, data);
  if (config === undefined) step.because("no workload of it is in the directory, so what it does is not known", place);
  return farSide(gateway, sni, alpn);
}
