// envoy.filters.http.stateful_session: a request names the host that answered its session before, by cookie or header, and goes
// there as long as that host may serve; a response tells the client which host that is when it is another one.
import type { StatefulSession, StatefulSessionPerRoute } from "../../../envoy/http-filter/stateful-session.ts";
import type { HttpFilter, HttpFilterContext, HttpFilterSpec } from "../../../http/filter.ts";
import { perRoute } from "../../../http/route/per-route.ts";
import { createSessionCodec, type SessionCodec } from "./session-state.ts";

/** The stateful session filter. */
export const statefulSession: HttpFilterSpec = {
  extension: "envoy.filters.http.stateful_session",
  create: (config, context) => createStatefulSession(config as StatefulSession, context),
};

interface Session {
  readonly codec: SessionCodec;
  readonly strict: boolean;
}

/** What a stream holds until its response. */
interface Asked {
  readonly codec: SessionCodec;
  readonly address: string | undefined;
}

function createStatefulSession(config: StatefulSession, context: HttpFilterContext): HttpFilter {
  const compile = ({ state, strict }: StatefulSession): Session | undefined => state && { codec: createSessionCodec(state), strict };
  const own = compile(config);
  const ofRoute = perRoute(context.filterName, ({ session }: StatefulSessionPerRoute) => ({ session: session && compile(session) }));
  return {
    onRequestHeaders: (stream, _endStream, index) => {
      const route = ofRoute(stream);
      const session = route === undefined ? own : route.session;
      if (session === undefined || !session.codec.applies(stream)) return "continue";
      const address = session.codec.read(stream, context.clock.wallMs());
      if (address !== undefined) stream.overrideHost = { address, strict: session.strict };
      const asked: Asked = { codec: session.codec, address };
      (stream.filterState ??= [])[index] = asked;
      return "continue";
    },
    onResponseHeaders: (stream, _endStream, index) => {
      const asked = stream.filterState?.[index] as Asked | undefined;
      const { upstreamHost } = stream.info;
      if (asked !== undefined && upstreamHost !== "" && upstreamHost !== asked.address)
        asked.codec.write(stream.responseHeaders!, upstreamHost, context.clock.wallMs());
      return "continue";
    },
  };
}
