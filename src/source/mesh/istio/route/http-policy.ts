// What a route of a VirtualService does beside choosing a destination: retries, faults, mirrors, CORS, header operations.
import { readDuration } from "../../object/duration.ts";
import type { Fields } from "../../object/fields.ts";
import { type Destination, readDestination } from "./destination.ts";
import { readStringMatch, type StringMatch } from "./string-match.ts";

/** Headers.HeaderOperations. */
export interface HeaderOperations {
  readonly set: Readonly<Record<string, string>>;
  readonly add: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
}

/** Headers. */
export interface HeaderRules {
  readonly request: HeaderOperations;
  readonly response: HeaderOperations;
}

/** HTTPRetry; durations as proto3 JSON. */
export interface Retries {
  /** 0 turns retries off. */
  readonly attempts: number;
  readonly perTryTimeout?: string;
  /** Empty: Istio's own conditions. */
  readonly retryOn: string;
  readonly remoteLocalities: boolean;
  /** Undefined: unless the retry would leave the host that requests are hashed to. */
  readonly ignorePreviousHosts?: boolean;
  readonly backoff?: string;
}

/** A share in percent, either as an old whole number or as a fraction with four digits. */
export type Percentage = { readonly kind: "whole" | "fraction"; readonly value: number };

/** HTTPFaultInjection. */
export interface FaultInjection {
  readonly delay?: { readonly fixedDelay: string; readonly percentage: Percentage };
  readonly abort?: { readonly status: { readonly kind: "http" | "grpc"; readonly code: number }; readonly percentage?: Percentage };
}

/** A destination that gets copies. */
export interface Mirror {
  readonly destination: Destination;
  readonly percentage: Percentage;
}

/** CorsPolicy. */
export interface CorsRules {
  readonly allowOrigins: readonly StringMatch[];
  readonly allowMethods: readonly string[];
  readonly allowHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  /** proto3 JSON duration. */
  readonly maxAge?: string;
  readonly allowCredentials?: boolean;
  readonly forwardUnmatchedPreflights: boolean;
}

const noOperations: HeaderOperations = { set: {}, add: {}, remove: [] };

/** Reads `headers`. */
export function readHeaderRules(parent: Fields): HeaderRules {
  const headers = parent.child("headers");
  const operations = (key: string): HeaderOperations => {
    const item = headers?.child(key);
    if (item === undefined) return noOperations;
    const result = { set: item.stringMap("set"), add: item.stringMap("add"), remove: item.strings("remove") };
    item.finish();
    return result;
  };
  const rules = { request: operations("request"), response: operations("response") };
  headers?.finish();
  return rules;
}

const optionalDuration = <K extends string>(item: Fields, key: K): { readonly [P in K]?: string } => {
  const value = readDuration(item, key);
  return (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: string };
};

/** Reads `retries`. */
export function readRetries(item: Fields): Retries {
  const ignorePreviousHosts = item.boolean("retryIgnorePreviousHosts");
  const retries = {
    attempts: item.integer("attempts", { min: 0, max: 0x7fff_ffff }) ?? 0,
    ...optionalDuration(item, "perTryTimeout"),
    retryOn: item.string("retryOn") ?? "",
    remoteLocalities: item.boolean("retryRemoteLocalities") ?? false,
    ...(ignorePreviousHosts === undefined ? {} : { ignorePreviousHosts }),
    ...optionalDuration(item, "backoff"),
  };
  item.finish();
  return retries;
}

/** Reads `{value: 12.5}`. */
function readPercentage(parent: Fields, key: string): Percentage | undefined {
  const item = parent.child(key);
  if (item === undefined) return undefined;
  const value = item.raw("value") ?? 0;
  item.finish();
  if (typeof value === "number" && value >= 0 && value <= 100) return { kind: "fraction", value };
  item.error("value", "is no percentage, expected a number from 0 to 100");
  return { kind: "fraction", value: 0 };
}

/** Reads a percentage that is a bare whole number, in the fields that Istio has deprecated. */
function readWholePercentage(parent: Fields, key: string): Percentage | undefined {
  const value = parent.integer(key, { min: 0, max: 100 });
  return value === undefined ? undefined : { kind: "whole", value };
}

const grpcCodes: readonly string[] = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

/** Reads `fault`. */
export function readFault(item: Fields): FaultInjection {
  const delay = item.child("delay");
  const abort = item.child("abort");
  const fixedDelay = delay === undefined ? undefined : readDuration(delay, "fixedDelay");
  if (delay !== undefined && fixedDelay === undefined && !delay.has("fixedDelay"))
    delay.error("fixedDelay", "is missing, expected a duration such as 5s");
  const fault = {
    ...(delay === undefined || fixedDelay === undefined
      ? {}
      : {
          delay: {
            fixedDelay,
            percentage: readPercentage(delay, "percentage") ??
              readWholePercentage(delay, "percent") ?? { kind: "whole" as const, value: 0 },
          },
        }),
    ...(abort === undefined ? {} : { abort: readAbort(abort) }),
  };
  delay?.notHonoured("exponentialDelay");
  delay?.finish();
  abort?.finish();
  item.finish();
  return fault;
}

function readAbort(abort: Fields): NonNullable<FaultInjection["abort"]> {
  const percentage = readPercentage(abort, "percentage");
  const share = percentage === undefined ? {} : { percentage };
  const grpc = abort.string("grpcStatus");
  const http = abort.integer("httpStatus", { min: 200, max: 599 });
  abort.notHonoured("http2Error");
  if (http !== undefined) return { status: { kind: "http", code: http }, ...share };
  const code = grpcCodes.indexOf(grpc ?? "");
  if (grpc === undefined) abort.error("httpStatus", "is missing, expected this or grpcStatus");
  else if (code < 0) abort.error("grpcStatus", `is "${grpc}", expected the name of a gRPC status`);
  return { status: { kind: "grpc", code }, ...share };
}

const everyRequest: Percentage = { kind: "whole", value: 100 };

/** Reads `mirror` and `mirrors`; copies that are never sent are left out. */
export function readMirrors(route: Fields): readonly Mirror[] {
  const percentage = readPercentage(route, "mirrorPercentage") ?? readWholePercentage(route, "mirrorPercent") ?? everyRequest;
  const first = route.has("mirror") ? [{ destination: readDestination(route, "mirror"), percentage }] : [];
  const others = route.list("mirrors", (item): Mirror => {
    const mirror = { destination: readDestination(item, "destination"), percentage: readPercentage(item, "percentage") ?? everyRequest };
    item.finish();
    return mirror;
  });
  return [...first, ...others].filter((mirror) => mirror.percentage.value > 0);
}

/** Reads `corsPolicy`. */
export function readCors(item: Fields): CorsRules {
  const exact = item.strings("allowOrigin").map((value): StringMatch => ({ kind: "exact", value }));
  const origins = item.list("allowOrigins", readStringMatch);
  const allowCredentials = item.boolean("allowCredentials");
  const cors = {
    allowOrigins: origins.length > 0 ? origins : exact,
    allowMethods: item.strings("allowMethods"),
    allowHeaders: item.strings("allowHeaders"),
    exposeHeaders: item.strings("exposeHeaders"),
    ...optionalDuration(item, "maxAge"),
    ...(allowCredentials === undefined ? {} : { allowCredentials }),
    forwardUnmatchedPreflights: item.oneOf("unmatchedPreflights", ["UNSPECIFIED", "FORWARD", "IGNORE"]) !== "IGNORE",
  };
  item.finish();
  return cors;
}
