// Envoy route.v3.RateLimit: how a request becomes a descriptor that a rate limit service (or a local limit) knows.
import { type CidrRange, decodeCidrRange } from "../address.ts";
import type { Decoder } from "../decode/cursor.ts";
import { emptyMessage, type Fields, message } from "../decode/message.ts";
import { bool, enumeration, headerName, integer, list, nonEmpty, text, uint32 } from "../decode/scalars.ts";
import { decodeHeaderMatcher, decodeQueryParameterMatcher, type HeaderMatcher, type QueryParameterMatcher } from "../string-matcher.ts";

/** type.metadata.v3.MetadataKey: the filter whose metadata it is, and the way to a value in it. */
export interface MetadataKey {
  readonly filter: string;
  readonly path: readonly string[];
}

/** RateLimit.Action: one entry of a descriptor. */
export type RateLimitAction =
  | { readonly kind: "sourceCluster" | "destinationCluster" | "remoteAddress" }
  | { readonly kind: "requestHeader"; readonly header: string; readonly key: string; readonly skipIfAbsent: boolean }
  | { readonly kind: "queryParameter"; readonly parameter: string; readonly key: string; readonly skipIfAbsent: boolean }
  | { readonly kind: "maskedRemoteAddress"; readonly v4Bits: number; readonly v6Bits: number }
  | {
      readonly kind: "remoteAddressMatch";
      readonly key: string;
      /** May hold `%COMMAND%` operators. */
      readonly value: string;
      /** Where the value comes out empty; when this is empty, too, the descriptor is none. */
      readonly defaultValue: string;
      readonly ranges: readonly CidrRange[];
      /** Addresses in none of the ranges match. */
      readonly invertMatch: boolean;
    }
  | { readonly kind: "genericKey"; readonly key: string; readonly value: string }
  | {
      readonly kind: "headerMatch";
      readonly key: string;
      readonly value: string;
      readonly expectMatch: boolean;
      readonly headers: readonly HeaderMatcher[];
    }
  | {
      readonly kind: "queryMatch";
      readonly key: string;
      readonly value: string;
      readonly expectMatch: boolean;
      readonly parameters: readonly QueryParameterMatcher[];
    }
  | {
      readonly kind: "metadata";
      readonly key: string;
      readonly metadataKey: MetadataKey;
      readonly defaultValue: string;
      readonly source: "DYNAMIC" | "ROUTE_ENTRY";
      readonly skipIfAbsent: boolean;
    };

/** RateLimit. */
export interface RateLimitPolicy {
  /** The filters of this stage use it. */
  readonly stage: number;
  /** There is a runtime key that would switch it off. Never set here; but in Envoy local limits pass such a policy over anyway. */
  readonly disableKey: boolean;
  readonly actions: readonly RateLimitAction[];
  /** Where in the dynamic metadata a limit for this request may stand. */
  readonly limit: MetadataKey | undefined;
}

const strict = { unhandled: "error" } as const;

const decodeSegment = message(
  "envoy.type.metadata.v3.MetadataKey.PathSegment",
  (m) => m.requiredOneof<string>({ key: nonEmpty }, ""),
  strict,
);

const decodeMetadataKey: Decoder<MetadataKey> = message(
  "envoy.type.metadata.v3.MetadataKey",
  (m) => ({ filter: m.required("key", nonEmpty), path: m.required("path", list(decodeSegment, { min: 1 })) }),
  strict,
);

const decodeRequestHeader: Decoder<RateLimitAction> = message(
  "envoy.config.route.v3.RateLimit.Action.RequestHeaders",
  (m) => ({
    kind: "requestHeader",
    header: m.required("header_name", headerName),
    key: m.required("descriptor_key", nonEmpty),
    skipIfAbsent: m.field("skip_if_absent", bool, false),
  }),
  strict,
);

const decodeQueryParameter: Decoder<RateLimitAction> = message(
  "envoy.config.route.v3.RateLimit.Action.QueryParameters",
  (m) => ({
    kind: "queryParameter",
    parameter: m.required("query_parameter_name", nonEmpty),
    key: m.required("descriptor_key", nonEmpty),
    skipIfAbsent: m.field("skip_if_absent", bool, false),
  }),
  strict,
);

const decodeMasked: Decoder<RateLimitAction> = message(
  "envoy.config.route.v3.RateLimit.Action.MaskedRemoteAddress",
  (m) => ({
    kind: "maskedRemoteAddress",
    v4Bits: m.field("v4_prefix_mask_len", integer(0, 32), 32),
    v6Bits: m.field("v6_prefix_mask_len", integer(0, 128), 128),
  }),
  strict,
);

/** An entry that is the same for all requests it is for. */
const decodePair = (m: Fields, ownKey: string): { readonly key: string; readonly value: string } => ({
  key: m.field("descriptor_key", text, "") || ownKey,
  value: m.required("descriptor_value", nonEmpty),
});

const decodeAddressMatcher = message(
  "envoy.type.matcher.v3.AddressMatcher",
  (m) => ({ ranges: m.field("ranges", list(decodeCidrRange), []), invertMatch: m.field("invert_match", bool, false) }),
  strict,
);

const decodeAddressMatch: Decoder<RateLimitAction> = message(
  "envoy.config.route.v3.RateLimit.Action.RemoteAddressMatch",
  (m) => ({
    kind: "remoteAddressMatch",
    ...decodePair(m, "remote_address_match"),
    defaultValue: m.field("default_value", text, ""),
    ...m.required("address_matcher", decodeAddressMatcher),
  }),
  strict,
);

const decodeGenericKey: Decoder<RateLimitAction> = message(
  "envoy.config.route.v3.RateLimit.Action.GenericKey",
  (m) => {
    // The value is taken as it is, so it is never the empty one that this stands in for.
    m.accept("default_value");
    return { kind: "genericKey", ...decodePair(m, "generic_key") };
  },
  strict,
);

const decodeHeaderMatch: Decoder<RateLimitAction> = message(
  "envoy.config.route.v3.RateLimit.Action.HeaderValueMatch",
  (m) => {
    // The value is taken as it is, so it is never the empty one that this stands in for.
    m.accept("default_value");
    return {
      kind: "headerMatch",
      ...decodePair(m, "header_match"),
      expectMatch: m.field("expect_match", bool, true),
      headers: m.required("headers", list(decodeHeaderMatcher, { min: 1 })),
    };
  },
  strict,
);

const decodeQueryMatch: Decoder<RateLimitAction> = message(
  "envoy.config.route.v3.RateLimit.Action.QueryParameterValueMatch",
  (m) => ({
    kind: "queryMatch",
    ...decodePair(m, "query_match"),
    expectMatch: m.field("expect_match", bool, true),
    parameters: m.required("query_parameters", list(decodeQueryParameterMatcher, { min: 1 })),
  }),
  strict,
);

const metadataSource = enumeration({ DYNAMIC: 0, ROUTE_ENTRY: 1 });

const decodeMetadataAction: Decoder<RateLimitAction> = message(
  "envoy.config.route.v3.RateLimit.Action.MetaData",
  (m) => ({
    kind: "metadata",
    key: m.required("descriptor_key", nonEmpty),
    metadataKey: m.required("metadata_key", decodeMetadataKey),
    defaultValue: m.field("default_value", text, ""),
    source: m.field("source", metadataSource, "DYNAMIC"),
    skipIfAbsent: m.field("skip_if_absent", bool, false),
  }),
  strict,
);

const presentAction = (type: string, kind: "sourceCluster" | "destinationCluster" | "remoteAddress"): Decoder<RateLimitAction> => {
  const decode = emptyMessage(type);
  return (json, at) => (decode(json, at), { kind });
};

const neutral: RateLimitAction = { kind: "remoteAddress" };

const decodeAction: Decoder<RateLimitAction> = message(
  "envoy.config.route.v3.RateLimit.Action",
  (m) => {
    m.refuse("descriptors by extension", "extension");
    m.refuse("an older form; give metadata", "dynamic_metadata");
    return m.requiredOneof<RateLimitAction>(
      {
        source_cluster: presentAction("envoy.config.route.v3.RateLimit.Action.SourceCluster", "sourceCluster"),
        destination_cluster: presentAction("envoy.config.route.v3.RateLimit.Action.DestinationCluster", "destinationCluster"),
        remote_address: presentAction("envoy.config.route.v3.RateLimit.Action.RemoteAddress", "remoteAddress"),
        request_headers: decodeRequestHeader,
        query_parameters: decodeQueryParameter,
        masked_remote_address: decodeMasked,
        remote_address_match: decodeAddressMatch,
        generic_key: decodeGenericKey,
        header_value_match: decodeHeaderMatch,
        query_parameter_value_match: decodeQueryMatch,
        metadata: decodeMetadataAction,
      },
      neutral,
    );
  },
  strict,
);

const decodeDynamicLimit = message(
  "envoy.config.route.v3.RateLimit.Override.DynamicMetadata",
  (m) => m.required("metadata_key", decodeMetadataKey),
  strict,
);

const decodeOverride: Decoder<MetadataKey | undefined> = message(
  "envoy.config.route.v3.RateLimit.Override",
  (m) => m.required("dynamic_metadata", decodeDynamicLimit),
  strict,
);

const largestStage = 10;

/** RateLimit. */
export const decodeRateLimitPolicy: Decoder<RateLimitPolicy> = message(
  "envoy.config.route.v3.RateLimit",
  (m) => {
    m.refuse("hits other than one", "hits_addend");
    m.refuse("counting when the stream is over", "apply_on_stream_done");
    const stage = m.field("stage", uint32, 0);
    if (stage > largestStage) m.at.error(`the last stage is ${largestStage}`, "stage");
    return {
      stage,
      disableKey: m.field("disable_key", text, "") !== "",
      actions: m.required("actions", list(decodeAction, { min: 1 })),
      limit: m.field("limit", decodeOverride, undefined),
    };
  },
  strict,
);

/** A list of RateLimit. */
export const decodeRateLimitPolicies: Decoder<readonly RateLimitPolicy[]> = list(decodeRateLimitPolicy);
