// Envoy route.v3.InternalRedirectPolicy: redirects of the upstream's that the proxy follows itself.
import { anyOf, unsupportedType } from "../decode/any.ts";
import type { Decoder } from "../decode/cursor.ts";
import { emptyMessage, message } from "../decode/message.ts";
import { bool, list, nonEmpty, uint32 } from "../decode/scalars.ts";
import { mutableHeader } from "./header-mutations.ts";

/** What else a redirect has to meet. */
export type RedirectPredicate =
  /** No route is gone to twice from the same one. */
  | { readonly kind: "previousRoutes" }
  /** Only these routes are gone to. */
  | { readonly kind: "allowListedRoutes"; readonly names: readonly string[] }
  /** Not from http to https. */
  | { readonly kind: "safeCrossScheme" };

/** route.v3.InternalRedirectPolicy. */
export interface InternalRedirectPolicy {
  /** How often one request of a client's may be redirected; default 1. */
  readonly maxRedirects: number;
  /** Statuses that count as redirects; default 302. */
  readonly statuses: readonly number[];
  readonly predicates: readonly RedirectPredicate[];
  /** Redirects between http and https are followed, too. */
  readonly crossScheme: boolean;
  /** Response headers that take the place of the request's of the same name; lower case. */
  readonly headersToCopy: readonly string[];
}

const listed = "envoy.extensions.internal_redirect.allow_listed_routes.v3.AllowListedRoutesConfig";
const previous = "envoy.extensions.internal_redirect.previous_routes.v3.PreviousRoutesConfig";
const safe = "envoy.extensions.internal_redirect.safe_cross_scheme.v3.SafeCrossSchemeConfig";

const decodeListed: Decoder<RedirectPredicate> = message(listed, (m) => ({
  kind: "allowListedRoutes",
  names: m.field("allowed_route_names", list(nonEmpty), []),
}));
const decodePrevious = emptyMessage(previous);
const decodeSafe = emptyMessage(safe);

const predicates: Readonly<Record<string, Decoder<RedirectPredicate>>> = {
  [listed]: decodeListed,
  [previous]: (json, at) => (decodePrevious(json, at), { kind: "previousRoutes" }),
  [safe]: (json, at) => (decodeSafe(json, at), { kind: "safeCrossScheme" }),
};

const decodePredicate: Decoder<RedirectPredicate> = message("envoy.config.core.v3.TypedExtensionConfig", (m) => {
  m.required("name", nonEmpty);
  return m.required(
    "typed_config",
    anyOf<RedirectPredicate>(predicates, (type, at) => {
      at.error(unsupportedType(type, Object.keys(predicates)));
      return { kind: "safeCrossScheme" };
    }),
  );
});

const redirects: readonly number[] = [301, 302, 303, 307, 308];

/** route.v3.InternalRedirectPolicy. */
export const decodeInternalRedirectPolicy: Decoder<InternalRedirectPolicy> = message(
  "envoy.config.route.v3.InternalRedirectPolicy",
  (m) => {
    // As in Envoy, other statuses are no redirects, and none is left where only such are given.
    const given = m.field("redirect_response_codes", list(uint32, { max: 5 }), []);
    return {
      maxRedirects: m.field("max_internal_redirects", uint32, 1),
      statuses: given.length === 0 ? [302] : given.filter((status) => redirects.includes(status)),
      predicates: m.field("predicates", list(decodePredicate), []),
      crossScheme: m.field("allow_cross_scheme_redirect", bool, false),
      headersToCopy: m.field("response_headers_to_copy", list(mutableHeader), []),
    };
  },
  { unhandled: "error" },
);
