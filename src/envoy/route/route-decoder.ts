// Decoders of route.v3.RouteConfiguration, VirtualHost and Route, with the checks Envoy makes on the table as a whole.
import { decodeMetadata } from "../address.ts";
import type { Cursor, Decoder } from "../decode/cursor.ts";
import { emptyMessage, type Fields, message } from "../decode/message.ts";
import { KeptClaims, KeptMap } from "../../kept-list.ts";
import { remembered, rememberedEntries } from "../decode/remembered.ts";
import { bool, enumeration, integer, list, nonEmpty, text, uint32 } from "../decode/scalars.ts";
import { decodePerFilterConfig } from "../listener/filter-config.ts";
import { decodeRateLimitPolicies } from "./rate-limit.ts";
import { decodeHeaderMutations } from "./header-mutations.ts";
import type { BodyBuffer, Route, RouteActionModel, RouteConfiguration, VirtualHost } from "./route.ts";
import { decodeDirectResponseAction, decodeForwardAction, decodeRedirectAction } from "./route-action.ts";
import { decodeRouteMatch } from "./route-match.ts";
import { decodeHedgePolicy, decodeMirrorPolicy, decodeRetryPolicy } from "./route-policy.ts";

const decodeNonForwarding = emptyMessage("envoy.config.route.v3.NonForwardingAction");

const decodeDecorator = message("envoy.config.route.v3.Decorator", (m) => {
  m.accept("propagate");
  return m.required("operation", nonEmpty);
});

function bodyBuffer(m: Fields): { readonly bodyBuffer?: BodyBuffer } {
  const limits = {
    ...m.maybe("limitBytes", "request_body_buffer_limit", size),
    ...m.maybe("perRequestBytes", "per_request_buffer_limit_bytes", uint32),
  };
  return Object.keys(limits).length === 0 ? {} : { bodyBuffer: limits };
}

const size = integer(0, Number.MAX_SAFE_INTEGER);

function routeDecoder(includeAttemptCount: boolean): Decoder<Route> {
  const forward = decodeForwardAction(includeAttemptCount);
  return message("envoy.config.route.v3.Route", (m) => {
    m.refuse("filter actions", "filter_action");
    return {
      name: m.field("name", text, ""),
      match: m.required("match", decodeRouteMatch),
      action: m.requiredOneof<RouteActionModel>(
        {
          route: forward,
          redirect: decodeRedirectAction,
          direct_response: decodeDirectResponseAction,
          non_forwarding_action: (json, at) => (decodeNonForwarding(json, at), { kind: "non_forwarding" }),
        },
        { kind: "non_forwarding" },
      ),
      headers: decodeHeaderMutations(m),
      metadata: m.field("metadata", decodeMetadata, {}),
      ...m.maybe("decoratorOperation", "decorator", decodeDecorator),
      ...bodyBuffer(m),
      typedPerFilterConfig: m.field("typed_per_filter_config", decodePerFilterConfig, {}),
    };
  });
}

const routesPlain = list(routeDecoder(false));
const routesWithAttemptCount = list(routeDecoder(true));

const domain: Decoder<string> = (json, at) => {
  const value = nonEmpty(json, at).toLowerCase();
  if (value.length > 1 && value.slice(1, -1).includes("*")) at.error("a wildcard stands only at the beginning or the end of a domain");
  else if (value.length > 1 && value.startsWith("*") && value.endsWith("*")) at.error("a domain has one wildcard at most");
  return value;
};

const tlsRequirement = enumeration({ NONE: 0, EXTERNAL_ONLY: 1, ALL: 2 });

const decodeVirtualHost: Decoder<VirtualHost> = message("envoy.config.route.v3.VirtualHost", (m) => {
  m.refuse("matcher trees; give routes", "matcher");
  const includeRequestAttemptCount = m.field("include_request_attempt_count", bool, false);
  return {
    name: m.required("name", nonEmpty),
    domains: m.required("domains", list(domain, { min: 1 })),
    routes: m.field("routes", includeRequestAttemptCount ? routesWithAttemptCount : routesPlain, []),
    requireTls: m.field("require_tls", tlsRequirement, "NONE"),
    headers: decodeHeaderMutations(m),
    includeRequestAttemptCount,
    includeAttemptCountInResponse: m.field("include_attempt_count_in_response", bool, false),
    ...m.maybe("retryPolicy", "retry_policy", decodeRetryPolicy),
    ...m.maybe("hedgeOnPerTryTimeout", "hedge_policy", decodeHedgePolicy),
    ...bodyBuffer(m),
    mirrors: m.field("request_mirror_policies", list(decodeMirrorPolicy), []),
    ...m.maybe("rateLimits", "rate_limits", decodeRateLimitPolicies),
    typedPerFilterConfig: m.field("typed_per_filter_config", decodePerFilterConfig, {}),
  };
});

// A change mostly concerns one host of thousands.
const virtualHosts = rememberedEntries(remembered(decodeVirtualHost));

/**
 * route.v3.RouteConfiguration.
 * @param validateByDefault Envoy checks clusters of inline tables and trusts those from RDS, unless validate_clusters says otherwise
 */
function routeConfiguration(validateByDefault: boolean): Decoder<RouteConfiguration> {
  return message("envoy.config.route.v3.RouteConfiguration", (m) => {
    m.refuse("VHDS", "vhds");
    m.refuse("cluster specifier plugins", "cluster_specifier_plugins");
    m.refuse("choosing the virtual host by another header", "vhost_header");
    m.refuse("path parameters take part in matching", "ignore_path_parameters_in_path_matching");
    const config = {
      name: m.field("name", text, ""),
      virtualHosts: m.field("virtual_hosts", virtualHosts, []),
      headers: decodeHeaderMutations(m),
      mostSpecificHeaderMutationsWins: m.field("most_specific_header_mutations_wins", bool, false),
      validateClusters: m.field("validate_clusters", bool, validateByDefault),
      ignorePortInHostMatching: m.field("ignore_port_in_host_matching", bool, false),
      maxDirectResponseBodySizeBytes: m.field("max_direct_response_body_size_bytes", uint32, 4096),
      mirrors: m.field("request_mirror_policies", list(decodeMirrorPolicy), []),
      typedPerFilterConfig: m.field("typed_per_filter_config", decodePerFilterConfig, {}),
    };
    m.accept("metadata");
    checkTable(config, m.at);
    return config;
  });
}

function checkTable(config: RouteConfiguration, at: Cursor): void {
  if (tableOf(at).isSound(config)) return;
  const names = new Set<string>();
  const domains = new Map<string, string>();
  config.virtualHosts.forEach((host, index) => {
    if (host.name !== "" && names.has(host.name))
      at.error(`a virtual host named ${host.name} is already there`, "virtual_hosts", index, "name");
    names.add(host.name);
    host.domains.forEach((name, position) => {
      const owner = domains.get(name);
      if (owner !== undefined) at.error(`${name} already belongs to virtual host ${owner}`, "virtual_hosts", index, "domains", position);
      else domains.set(name, host.name);
    });
    host.routes.forEach((route, position) => {
      const { action } = route;
      if (action.kind !== "direct_response" || action.body.length <= config.maxDirectResponseBodySizeBytes) return;
      const problem = `the body has ${action.body.length} bytes, max_direct_response_body_size_bytes is ${config.maxDirectResponseBodySizeBytes}`;
      at.error(problem, "virtual_hosts", index, "routes", position, "direct_response", "body");
    });
  });
}

// Thousands of hosts are looked through on every change of one: first whether there is anything to say, then what.
class SoundTable {
  readonly #names = new KeptClaims<VirtualHost, string>(({ name }) => (name === "" ? [] : [name]));
  readonly #domains = new KeptClaims<VirtualHost, string>(({ domains }) => domains);
  readonly #longest = new KeptMap<VirtualHost, number>();

  isSound({ virtualHosts: hosts, maxDirectResponseBodySizeBytes: limit }: RouteConfiguration): boolean {
    const [named, apart] = [this.#names.follow(hosts), this.#domains.follow(hosts)];
    return named && apart && this.#longest.map(this, hosts, [], longestReply).every((length) => length <= limit);
  }
}

function tableOf({ context: { memory }, place }: Cursor): SoundTable {
  const known = memory?.tables.get(place);
  if (known instanceof SoundTable) return known;
  const table = new SoundTable();
  memory?.tables.set(place, table);
  return table;
}

function longestReply({ routes }: VirtualHost): number {
  return routes.reduce((most, { action }) => (action.kind === "direct_response" ? Math.max(most, action.body.length) : most), 0);
}

/** A route configuration within a connection manager. */
export const decodeInlineRouteConfiguration = routeConfiguration(true);

const decodeFromSource = routeConfiguration(false);

/** A route configuration that stands by itself and is referred to by name. */
export const decodeRouteConfiguration: Decoder<RouteConfiguration> = (json, at) => {
  const config = decodeFromSource(json, at);
  if (config.name === "") at.error("required: listeners refer to it by name", "name");
  return config;
};
