// Envoy extensions.filters.http.header_mutation.v3.HeaderMutation: changes to headers, trailers and the query, one after another.
import type { Decoder } from "../decode/cursor.ts";
import { type Fields, message } from "../decode/message.ts";
import { bool, enumeration, list, nonEmpty, text } from "../decode/scalars.ts";
import { decodeHeaderValueOption } from "../route/header-mutations.ts";
import type { HeaderValueOption } from "../route/route.ts";
import { decodeStringMatcher, type StringMatcher } from "../string-matcher.ts";

/** config.common.mutation_rules.v3.HeaderMutation. */
export type HeaderMutation =
  | { readonly kind: "remove"; readonly name: string }
  | { readonly kind: "removeOnMatch"; readonly name: StringMatcher }
  | { readonly kind: "append"; readonly option: HeaderValueOption };

/** core.v3.KeyValueMutation. `value` is a format. */
export type QueryMutation =
  | { readonly kind: "remove"; readonly key: string }
  | { readonly kind: "append"; readonly key: string; readonly value: string; readonly action: HeaderValueOption["appendAction"] };

/** Mutations. */
export interface Mutations {
  readonly request: readonly HeaderMutation[];
  readonly query: readonly QueryMutation[];
  readonly requestTrailers: readonly HeaderMutation[];
  readonly response: readonly HeaderMutation[];
  readonly responseTrailers: readonly HeaderMutation[];
}

/** HeaderMutation. */
export interface HeaderMutationConfig {
  readonly mutations: Mutations;
  /** The route's changes come after those of its virtual host and configuration; otherwise before them. */
  readonly mostSpecificWins: boolean;
}

/** HeaderMutationPerRoute. */
export interface HeaderMutationPerRoute {
  readonly mutations: Mutations;
}

const strict = { unhandled: "error" } as const;

// Without these there is no request; Envoy takes the configuration and fails the requests.
const removable: Decoder<string> = (json, at) => {
  const name = text(json, at).toLowerCase();
  if (name.startsWith(":") || name === "host") at.error(":-prefixed or host headers may not be removed");
  return name;
};

const decodeRemoveOnMatch = message(
  "envoy.config.common.mutation_rules.v3.HeaderMutation.RemoveOnMatch",
  (m) => m.required("key_matcher", decodeStringMatcher),
  strict,
);

const decodeMutation = message(
  "envoy.config.common.mutation_rules.v3.HeaderMutation",
  (m) =>
    m.requiredOneof<HeaderMutation>(
      {
        remove: (json, at) => ({ kind: "remove", name: removable(json, at) }),
        append: (json, at) => ({ kind: "append", option: decodeHeaderValueOption(json, at) }),
        remove_on_match: (json, at) => ({ kind: "removeOnMatch", name: decodeRemoveOnMatch(json, at) }),
      },
      { kind: "remove", name: "" },
    ),
  strict,
);

const appendAction = enumeration({ APPEND_IF_EXISTS_OR_ADD: 0, ADD_IF_ABSENT: 1, OVERWRITE_IF_EXISTS_OR_ADD: 2, OVERWRITE_IF_EXISTS: 3 });

const decodePair = message("envoy.config.core.v3.KeyValuePair", (m) => ({
  key: m.required("key", nonEmpty),
  value: m.required("value", text),
}));

const decodeAppend = message(
  "envoy.config.core.v3.KeyValueAppend",
  (m): QueryMutation => {
    m.refuse("the older place of record", "entry");
    const action = m.field("action", appendAction, "APPEND_IF_EXISTS_OR_ADD");
    return { kind: "append", ...m.required("record", decodePair), action };
  },
  strict,
);

const decodeQueryMutation = message(
  "envoy.config.core.v3.KeyValueMutation",
  (m): QueryMutation => {
    const key = m.field("remove", text, "");
    const append = m.field("append", decodeAppend, undefined);
    if (append === undefined && key === "") m.at.error("one of append, remove is required");
    return append ?? { kind: "remove", key };
  },
  strict,
);

const mutations = list(decodeMutation);

const decodeMutations = message(
  "envoy.extensions.filters.http.header_mutation.v3.Mutations",
  (m): Mutations => ({
    request: m.field("request_mutations", mutations, []),
    query: m.field("query_parameter_mutations", list(decodeQueryMutation), []),
    requestTrailers: m.field("request_trailers_mutations", mutations, []),
    response: m.field("response_mutations", mutations, []),
    responseTrailers: m.field("response_trailers_mutations", mutations, []),
  }),
  strict,
);

const noMutations: Mutations = { request: [], query: [], requestTrailers: [], response: [], responseTrailers: [] };
const own = (m: Fields): HeaderMutationPerRoute => ({ mutations: m.field("mutations", decodeMutations, noMutations) });

/** HeaderMutation. */
export const decodeHeaderMutation: Decoder<HeaderMutationConfig> = message(
  "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
  (m) => ({ ...own(m), mostSpecificWins: m.field("most_specific_header_mutations_wins", bool, false) }),
  strict,
);

/** HeaderMutationPerRoute. */
export const decodeHeaderMutationPerRoute: Decoder<HeaderMutationPerRoute> = message(
  "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute",
  own,
  strict,
);
