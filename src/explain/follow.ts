// From the listener to the endpoints: what becomes of a connection, and of a request in it.
import type { HttpConnectionManagerConfig } from "../envoy/listener/http-connection-manager.ts";
import type { FilterChain } from "../envoy/listener/listener.ts";
import type { TcpProxyConfig } from "../envoy/listener/tcp-proxy.ts";
import { headErrorReplies } from "../http/local-reply.ts";
import type { ConnectionInfo } from "../telemetry/stream-info.ts";
import type { Arrival, Target } from "./arrival.ts";
import type { ExplainConfig } from "./config.ts";
import { percent } from "./describe.ts";
import { type Narrative, sent, type Verdict } from "./explanation.ts";
import { replied } from "./failure.ts";
import { followCluster } from "./step/cluster.ts";
import { chooseChain } from "./step/filter-chain.ts";
import { chooseRoute } from "./step/route.ts";

const connectionManager = "envoy.filters.network.http_connection_manager";
const tcpProxy = "envoy.filters.network.tcp_proxy";

/** Follows a connection to its end. */
export function followConnection(config: ExplainConfig, arrival: Arrival, story: Narrative): Verdict {
  const chosen = chooseChain(config, arrival, story);
  if ("sent" in chosen) return chosen;
  const { chain, info } = chosen;
  const terminal = chain.filters.at(-1);
  if (terminal?.extension === connectionManager) {
    const unreadable = whyNoHttp(chain, info, arrival, story);
    if (unreadable !== undefined) return unreadable;
    const routed = chooseRoute(config, terminal.config as HttpConnectionManagerConfig, arrival, info, story);
    return "sent" in routed ? routed : followTargets(config, routed.targets, { ...arrival, request: routed.request }, info, story);
  }
  if (terminal?.extension === tcpProxy)
    return followTargets(config, tcpTargets(terminal.config as TcpProxyConfig, info, chosen.sniDnat), arrival, info, story);
  return sent(`ends in filter ${terminal?.extension ?? "none"}, which is not explained here`);
}

/** HTTP is expected, and the client speaks something else. */
function whyNoHttp(chain: FilterChain, info: ConnectionInfo, { request }: Arrival, story: Narrative): Verdict | undefined {
  const terminates = chain.transportSocket.kind === "tls";
  if (request?.protocol === "http" || (request?.protocol === "tls" && terminates)) return undefined;
  if (request === undefined && terminates) return sent("TLS ends here; which request follows is not part of the question");
  const what = info.transportProtocol === "tls" || request?.protocol === "tls" ? "TLS" : "bytes that are no HTTP";
  story.step("route", `the chain takes plain HTTP, and the client sends ${what}`, {}, true);
  return replied(headErrorReplies.codec_error, `answered with 400: ${what} where HTTP is expected`);
}

function tcpTargets({ target, metadataMatch }: TcpProxyConfig, info: ConnectionInfo, sniDnat: boolean): readonly Target[] {
  if (info.clusterOverride !== "") return [{ cluster: info.clusterOverride, share: 1, metadataMatch, sniDnat }];
  if (target.kind === "cluster") return [{ cluster: target.name, share: 1, metadataMatch, sniDnat }];
  return target.clusters.map(({ name, weight }) => ({ cluster: name, share: weight / target.totalWeight, metadataMatch, sniDnat }));
}

/** Every share on its own; the request fails when one of them does. */
function followTargets(
  config: ExplainConfig,
  targets: readonly Target[],
  arrival: Arrival,
  info: ConnectionInfo,
  story: Narrative,
): Verdict {
  const verdicts = targets.map((target) => ({ target, verdict: followCluster(config, target, arrival, info, story) }));
  const failed = verdicts.find(({ verdict }) => !verdict.sent);
  const [first] = verdicts;
  if (failed === undefined) {
    if (first === undefined) return sent("goes nowhere");
    return targets.length === 1 ? first.verdict : sent(`sent to one of ${targets.length} clusters`);
  }
  const { verdict, target } = failed;
  return target.share === 1 ? verdict : { ...verdict, text: `${percent(target.share)} of it: ${verdict.text}` };
}
