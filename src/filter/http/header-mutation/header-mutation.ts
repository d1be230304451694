// envoy.filters.http.header_mutation: changes headers, trailers and the query, one after another; the filter's own changes first,
// then those of each level of the route.
import type { HeaderMutationConfig, HeaderMutationPerRoute, Mutations } from "../../../envoy/http-filter/header-mutation.ts";
import type { HttpFilter, HttpFilterContext, HttpFilterSpec } from "../../../http/filter.ts";
import type { HttpStream } from "../../../http/stream.ts";
import { type CompiledMutations, compileMutations } from "./mutations.ts";

/** The filter that changes headers. */
export const headerMutation: HttpFilterSpec = {
  extension: "envoy.filters.http.header_mutation",
  create: (config, context) => createHeaderMutation(config as HeaderMutationConfig, context),
};

function createHeaderMutation(config: HeaderMutationConfig, context: HttpFilterContext): HttpFilter {
  const { filterName, logger } = context;
  const compile = (mutations: Mutations): CompiledMutations =>
    compileMutations(mutations, (problem) => logger.error("a header mutation is left out", { filter: filterName, problem }));
  const own = [compile(config.mutations)];
  // Routes share the lists of their levels, so that each list is compiled once.
  const compiled = new WeakMap<readonly unknown[], readonly CompiledMutations[]>();
  const levels = (stream: HttpStream): readonly CompiledMutations[] => {
    const configs = stream.route?.filterConfig(filterName)?.configs;
    if (configs === undefined) return own;
    let all = compiled.get(configs);
    if (all === undefined) {
      const ofRoute = (configs as readonly HeaderMutationPerRoute[]).map(({ mutations }) => compile(mutations));
      all = [...own, ...(config.mostSpecificWins ? ofRoute : ofRoute.reverse())];
      compiled.set(configs, all);
    }
    return all;
  };
  return {
    onRequestHeaders: (stream) => {
      for (const level of levels(stream)) level.request(stream);
      return "continue";
    },
    onRequestTrailers: (stream, trailers) => {
      for (const level of levels(stream)) level.requestTrailers(trailers, stream.info);
    },
    onResponseHeaders: (stream) => {
      for (const level of levels(stream)) level.response(stream.responseHeaders!, stream.info);
      return "continue";
    },
    onResponseTrailers: (stream, trailers) => {
      for (const level of levels(stream)) level.responseTrailers(trailers, stream.info);
    },
  };
}
