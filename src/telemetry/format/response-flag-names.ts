// Envoy's long names of response flags, for `%RESPONSE_FLAGS_LONG%`.
import { formatFlags } from "../response-flag.ts";
import type { FlagName } from "../response-flag.ts";

const longNames: Readonly<Record<FlagName, string>> = {
  LH: "FailedLocalHealthCheck",
  UH: "NoHealthyUpstream",
  UT: "UpstreamRequestTimeout",
  LR: "LocalReset",
  UR: "UpstreamRemoteReset",
  UF: "UpstreamConnectionFailure",
  UC: "UpstreamConnectionTermination",
  UO: "UpstreamOverflow",
  NR: "NoRouteFound",
  DI: "DelayInjected",
  FI: "FaultInjected",
  RL: "RateLimited",
  UAEX: "UnauthorizedExternalService",
  RLSE: "RateLimitServiceError",
  DC: "DownstreamConnectionTermination",
  URX: "UpstreamRetryLimitExceeded",
  SI: "StreamIdleTimeout",
  IH: "InvalidEnvoyRequestHeaders",
  DPE: "DownstreamProtocolError",
  UMSDR: "UpstreamMaxStreamDurationReached",
  RFCF: "ResponseFromCacheFilter",
  NFCF: "NoFilterConfigFound",
  DT: "DurationTimeout",
  UPE: "UpstreamProtocolError",
  NC: "NoClusterFound",
  OM: "OverloadManagerTerminated",
  DF: "DnsResolutionFailed",
  DO: "DropOverload",
  DR: "DownstreamRemoteReset",
  UDO: "UnconditionalDropOverload",
  SE: "ScriptError",
};

/** The set flags by their long names, joined by commas. */
export function longFlagNames(flags: number, order: readonly FlagName[]): string {
  return formatFlags(flags, order)
    .split(",")
    .map((name) => longNames[name as FlagName])
    .join(",");
}
