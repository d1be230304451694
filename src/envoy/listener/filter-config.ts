// Decodes filters as they are configured: finds the extension in the table and applies its policy. Knows no filter by itself.
import { type AnyMessage, descend, openAny, unsupportedType } from "../decode/any.ts";
import { type Cursor, type Decoder, isObject } from "../decode/cursor.ts";
import { decodeWith, type Extension, type ExtensionKind } from "../decode/extension.ts";
import { type Fields, message } from "../decode/message.ts";
import { bool, nonEmpty } from "../decode/scalars.ts";
import type { FilterConfig, ListenerFilterConfig, ListenerFilterPredicate } from "./listener.ts";
import { decodeListenerFilterPredicate } from "./listener-filter-predicate.ts";
import type { PerFilterConfig } from "../route/route.ts";

interface Found {
  readonly extension: Extension;
  readonly config: unknown;
}

// Undefined: the filter is left out, and why has been reported.
function typedConfig(kind: ExtensionKind, optional: boolean): Decoder<Found | undefined> {
  return (json, at) => {
    const opened = openAny(json, at);
    if (opened === undefined) return undefined;
    const row = at.context.extensions.byType(kind, opened.type);
    if (row === undefined || row.policy === "refused") {
      const why =
        row === undefined ? unsupportedType(opened.type, at.context.extensions.types(kind)) : `${row.name} is not supported: ${row.why}`;
      if (optional) at.warn(`${why}; left out because it is optional`);
      else at.error(why);
      return undefined;
    }
    if (row.policy === "ignored") {
      at.warn(`${row.name} is not honoured: ${row.why}`);
      return undefined;
    }
    return { extension: row, config: descend(opened, (value, cursor) => decodeWith(row, value, cursor), at) };
  };
}

function filterFields(m: Fields, kind: ExtensionKind, optional: boolean): FilterConfig | undefined {
  m.refuse("dynamic filter configuration", "config_discovery");
  const name = m.required("name", nonEmpty);
  const found = m.field("typed_config", typedConfig(kind, optional), undefined);
  if (!m.has("typed_config")) m.at.error(`required: Envoy finds the ${kind} by the type of its configuration`, "typed_config");
  return found && { name, extension: found.extension.name, config: found.config, disabled: false };
}

/** listener.v3.Filter: a network filter, or undefined when it is left out. */
export const decodeNetworkFilter: Decoder<FilterConfig | undefined> = message("envoy.config.listener.v3.Filter", (m) =>
  filterFields(m, "network filter", false),
);

/** HttpFilter, or undefined when it is left out. */
export const decodeHttpFilter: Decoder<FilterConfig | undefined> = message(
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
  (m) => {
    const filter = filterFields(m, "http filter", m.field("is_optional", bool, false));
    const disabled = m.field("disabled", bool, false);
    return filter && { ...filter, disabled };
  },
);

/** listener.v3.ListenerFilter, or undefined when it is left out. */
export const decodeListenerFilter: Decoder<ListenerFilterConfig | undefined> = message("envoy.config.listener.v3.ListenerFilter", (m) => {
  const filter = filterFields(m, "listener filter", false);
  const disabled: { filterDisabled?: ListenerFilterPredicate } = m.maybe(
    "filterDisabled",
    "filter_disabled",
    decodeListenerFilterPredicate,
  );
  return filter && { ...filter, ...disabled };
});

type Override = PerFilterConfig[string];

const routeFilterConfig = "envoy.config.route.v3.FilterConfig";

const decodeWrapped: Decoder<Override | undefined> = message("envoy.config.route.v3.FilterConfig", (m) => {
  const disabled = m.field("disabled", bool, false);
  const optional = m.field("is_optional", bool, false);
  // Without a configuration it is there to switch on a filter that the chain has switched off.
  const decodeConfig: Decoder<Override | undefined> = (json, at) =>
    isObject(json) && Object.keys(json).length === 0 ? { disabled: false } : decodeOverride(json, at, optional);
  const config = m.field("config", decodeConfig, { disabled: false });
  return disabled ? { disabled } : config;
});

function decodeOverride(json: unknown, at: Cursor, optional: boolean): Override | undefined {
  const opened = openAny(json, at);
  if (opened === undefined) return undefined;
  if (opened.type === routeFilterConfig) return descend(opened, decodeWrapped, at);
  return perRoute(opened, at, optional);
}

function perRoute(opened: AnyMessage, at: Cursor, optional: boolean): Override | undefined {
  const row = at.context.extensions.byPerRouteType(opened.type);
  if (row?.policy === "honoured") {
    const decoder = row.perRoute?.[opened.type];
    return { disabled: false, config: decoder && descend(opened, decoder, at) };
  }
  if (row?.policy === "ignored") at.warn(`${row.name} is not honoured: ${row.why}`);
  else if (optional) at.warn(`${opened.type} is not supported; left out because it is optional`);
  else at.error(row ? `${row.name} is not supported: ${row.why}` : `${opened.type} is not supported as per-route configuration`);
  return undefined;
}

/** typed_per_filter_config: overrides by the filter's instance name. */
export const decodePerFilterConfig: Decoder<PerFilterConfig> = (json, at) => {
  if (!isObject(json)) {
    at.error("expected an object of filter names to configurations");
    return {};
  }
  const overrides = Object.entries(json).map(
    ([name, value]) => [name, at.in(name, (entry) => decodeOverride(entry, at, false), value)] as const,
  );
  return Object.fromEntries(overrides.filter((entry): entry is [string, Override] => entry[1] !== undefined));
};
