// The copies of one request (request_mirror_policies): which are made, with which headers, and passing the body on to them.
import type { Clock } from "../../../clock.ts";
import type { MirrorPolicy } from "../../../envoy/route/route.ts";
import type { HttpStream } from "../../../http/stream.ts";
import { portStart } from "../../../match/domains.ts";
import type { ClusterLookup } from "../../../upstream/cluster.ts";
import type { RequestHead } from "../../../upstream/pool/exchange.ts";
import type { HeaderMap } from "../../../wire/header-map.ts";
import { MirrorRequest } from "./mirror-request.ts";

/** What copies need beside their request. */
export interface MirrorDeps {
  readonly clock: Clock;
  readonly random: () => number;
  readonly clusters: ClusterLookup;
  /** Stands for this machine in x-forwarded-for. */
  readonly localAddress: string;
}

// Envoy's default of stream_idle_timeout: a copy never waits without end.
const defaultIdleMs = 300_000;

/** The copies of a request. */
export class Mirrors {
  readonly #requests: readonly MirrorRequest[];

  constructor(requests: readonly MirrorRequest[]) {
    this.#requests = requests;
  }

  /** Sends the heads. */
  start(): void {
    for (const request of this.#requests) request.start();
  }

  /** Passes body bytes on. */
  write(data: Buffer, endStream: boolean): void {
    for (const request of this.#requests) request.write(data, endStream);
  }

  /** Passes trailers on. */
  writeTrailers(trailers: HeaderMap): void {
    for (const request of this.#requests) request.writeTrailers(trailers);
  }

  /** A read was worked off. */
  flush(): void {
    for (const request of this.#requests) request.flush();
  }

  /** The request is over: copies of which not all was sent are broken off, the others go on by themselves. */
  end(): void {
    for (const request of this.#requests) request.cancel();
  }
}

/**
 * Makes the copies that policies and chance ask for, with the request's headers as they are now; undefined for none.
 * @param timeoutMs the route's timeout, 0 = none
 */
export function createMirrors(
  policies: readonly MirrorPolicy[],
  stream: HttpStream,
  timeoutMs: number,
  deps: MirrorDeps,
): Mirrors | undefined {
  const requests: MirrorRequest[] = [];
  for (const policy of policies) {
    if (policy.fraction < 1 && deps.random() >= policy.fraction) continue;
    const name = policy.clusterHeader === undefined ? policy.cluster : stream.headers.get(policy.clusterHeader);
    // As in Envoy, a cluster that is not there gets no copy and nobody hears of it.
    const cluster = name === undefined ? undefined : deps.clusters.get(name);
    if (cluster === undefined) continue;
    const limits = {
      clock: deps.clock,
      timeoutMs: timeoutMs > 0 ? timeoutMs : stream.manager.config.streamIdleTimeoutMs || defaultIdleMs,
      idle: timeoutMs === 0,
      bufferLimitBytes: stream.manager.bufferLimitBytes,
    };
    requests.push(new MirrorRequest(cluster, mirrorHead(stream, policy, deps.localAddress), stream.requestComplete, limits));
  }
  return requests.length === 0 ? undefined : new Mirrors(requests);
}

function mirrorHead(stream: HttpStream, policy: MirrorPolicy, localAddress: string): RequestHead {
  const { method, path, scheme, authority, upgrade, info } = stream;
  const headers = stream.headers.clone();
  headers.set("x-envoy-internal", "true");
  const hops = headers.get("x-forwarded-for");
  headers.set("x-forwarded-for", hops === undefined ? localAddress : `${hops},${localAddress}`);
  return {
    method,
    path,
    scheme,
    headers,
    upgrade,
    authority: policy.disableShadowHostSuffixAppend ? authority : shadowHost(authority),
    expectContinue: false,
    info: { protocol: info.protocol },
  };
}

/** Envoy's name of the host that a copy is for: `-shadow` behind the name, before the port. */
function shadowHost(authority: string): string {
  const at = portStart(authority);
  return at < 0 ? `${authority}-shadow` : `${authority.slice(0, at)}-shadow${authority.slice(at)}`;
}
