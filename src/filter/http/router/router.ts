// The router: the terminal of every HTTP filter chain. Answers redirects and direct responses itself; a forward is a
// RouterStream of its own (router-stream.ts).
import type { RouterConfig } from "../../../envoy/http-filter/router.ts";
import type { Terminal } from "../../../http/connection-manager.ts";
import type { HttpFilterContext } from "../../../http/filter.ts";
import { plainReply, replies } from "../../../http/local-reply.ts";
import type { CompiledRoute } from "../../../http/route/route-table.ts";
import type { HttpStream } from "../../../http/stream.ts";
import { flag } from "../../../telemetry/response-flag.ts";
import { createRedirectStats } from "./internal-redirect.ts";
import { refusedByStrictCheck } from "./strict-check.ts";
import { RouterStream, type RouterDeps } from "./router-stream.ts";

/** Makes the terminal of an HTTP filter chain. */
export function createRouter(config: RouterConfig, context: HttpFilterContext): Terminal {
  const { scope, clusters } = context;
  const { strictCheckHeaders } = config;
  const counters = {
    noRoute: scope.counter("no_route"),
    noCluster: scope.counter("no_cluster"),
    directResponse: scope.counter("rq_direct_response"),
    total: scope.counter("rq_total"),
  };
  const deps: RouterDeps = {
    clock: context.clock,
    random: context.random,
    clusters,
    redirectStats: createRedirectStats(scope),
    localAddress: context.localAddress,
    suppressEnvoyHeaders: config.suppressEnvoyHeaders,
    respectExpectedTimeout: config.respectExpectedRqTimeout,
  };

  const answer = (
    stream: HttpStream,
    route: CompiledRoute,
    status: number,
    body: string,
    headers: readonly (readonly [string, string])[],
    contentType?: string,
  ): undefined => {
    stream.replyMutator = route.responseHeaders;
    stream.sendLocalReply({ ...plainReply(status, "direct_response"), body, headers, ...(contentType !== undefined && { contentType }) });
    return undefined;
  };

  return {
    start(stream, endStream) {
      counters.total.inc();
      const refusal = strictCheckHeaders.length === 0 ? undefined : refusedByStrictCheck(stream.headers, strictCheckHeaders);
      if (refusal !== undefined) {
        stream.sendLocalReply(refusal);
        return undefined;
      }
      const { route } = stream;
      if (route === undefined || route.action.kind === "non_forwarding") {
        counters.noRoute.inc();
        stream.sendLocalReply(replies.routeNotFound);
        return undefined;
      }
      const { action } = route;
      if (action.kind === "redirect") {
        // To Envoy a redirect is a direct response, too; its rq_redirect stays 0.
        counters.directResponse.inc();
        return answer(stream, route, action.status, "", [["location", action.location(stream)]]);
      }
      if (action.kind === "direct_response") {
        counters.directResponse.inc();
        // What was created is where the request was for, as Envoy says it.
        const location = action.status === 201 ? `${stream.scheme}://${stream.authority}${stream.path}` : undefined;
        const headers: readonly (readonly [string, string])[] = location === undefined ? [] : [["location", location]];
        if (action.formatBody === undefined) return answer(stream, route, action.status, action.body, headers);
        return answer(stream, route, action.status, action.formatBody(stream.info), headers, action.contentType);
      }
      const target = stream.target ?? action.pickCluster(stream, context.random());
      const cluster = clusters.get(target.name);
      stream.replyMutator = route.responseHeaders;
      if (cluster === undefined) {
        counters.noCluster.inc();
        stream.sendLocalReply(plainReply(action.model.clusterNotFoundStatus, "cluster_not_found", flag.NC));
        return undefined;
      }
      const forward = new RouterStream(stream, route, action, target, cluster, deps);
      forward.start(endStream);
      return stream.done ? undefined : forward;
    },
  };
}
