// Envoy extensions.filters.http.cors.v3.CorsPolicy: the policy of a route. The filter's own message is empty.
import type { Decoder } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { bool, list, text } from "../decode/scalars.ts";
import { decodeRuntimeShare } from "../percent.ts";
import { decodeStringMatcher, type StringMatcher } from "../string-matcher.ts";

/** CorsPolicy. Strings go into the response headers as they are; empty ones are left out. */
export interface CorsPolicy {
  readonly allowOrigin: readonly StringMatcher[];
  readonly allowMethods: string;
  readonly allowHeaders: string;
  readonly exposeHeaders: string;
  readonly maxAge: string;
  /** Undefined: as a less specific policy says, if one does. Default false. */
  readonly allowCredentials: boolean | undefined;
  /** As allowCredentials. */
  readonly allowPrivateNetworkAccess: boolean | undefined;
  /** Preflights that match no origin go upstream (default) or are answered here. Undefined as for allowCredentials. */
  readonly forwardNotMatchingPreflights: boolean | undefined;
  /** Share of requests the policy is enforced for, 0..1. */
  readonly enabledFraction: number;
  /** Share of the other requests whose origins are counted, 0..1. */
  readonly shadowFraction: number;
}

/** CorsPolicy. */
export const decodeCorsPolicy: Decoder<CorsPolicy> = message("envoy.extensions.filters.http.cors.v3.CorsPolicy", (m) => ({
  allowOrigin: m.field("allow_origin_string_match", list(decodeStringMatcher), []),
  allowMethods: m.field("allow_methods", text, ""),
  allowHeaders: m.field("allow_headers", text, ""),
  exposeHeaders: m.field("expose_headers", text, ""),
  maxAge: m.field("max_age", text, ""),
  allowCredentials: m.field("allow_credentials", bool, undefined),
  allowPrivateNetworkAccess: m.field("allow_private_network_access", bool, undefined),
  forwardNotMatchingPreflights: m.field("forward_not_matching_preflights", bool, undefined),
  enabledFraction: m.field("filter_enabled", decodeRuntimeShare, 1),
  shadowFraction: m.field("shadow_enabled", decodeRuntimeShare, 0),
}));

/** The filter's own configuration: empty. */
export const decodeCors: Decoder<object> = message("envoy.extensions.filters.http.cors.v3.Cors", () => ({}));
