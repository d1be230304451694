// LoadBalancerSettings of a traffic policy: which balancer, what requests are hashed by, which localities come first.
import { readDuration } from "../object/duration.ts";
import type { Fields } from "../object/fields.ts";
import { type LocalitySetting, readLocalitySetting } from "./locality-setting.ts";

/** Balancers without a hash; undefined where Istio's default (LEAST_REQUEST) is left alone. */
export type SimpleBalancer = "LEAST_REQUEST" | "ROUND_ROBIN" | "RANDOM" | "PASSTHROUGH";

/** What a request or connection is hashed by. */
export type HashKey =
  | { readonly kind: "header"; readonly name: string }
  | {
      readonly kind: "cookie";
      readonly name: string;
      readonly path: string;
      /** proto3 JSON; given (even `0s`), a cookie is made for callers without one. */
      readonly ttl: string | undefined;
      readonly attributes: readonly { readonly name: string; readonly value: string }[];
    }
  | { readonly kind: "source-ip"; readonly enabled: boolean }
  | { readonly kind: "query"; readonly name: string };

/** Consistent hashing; sizes are 0 where Envoy's default holds. */
export interface ConsistentHash {
  readonly key: HashKey | undefined;
  readonly algorithm: { readonly kind: "maglev"; readonly tableSize: number } | { readonly kind: "ring"; readonly minimumRingSize: number };
}

/** LoadBalancerSettings. */
export interface LoadBalancer {
  readonly simple: SimpleBalancer | undefined;
  readonly consistentHash: ConsistentHash | undefined;
  readonly locality: LocalitySetting | undefined;
  /** Slow start; without effect for balancers other than LEAST_REQUEST and ROUND_ROBIN. */
  readonly warmup: Warmup | undefined;
}

/** WarmupConfiguration. */
export interface Warmup {
  /** proto3 JSON. */
  readonly duration: string;
  /** Percent and exponent; undefined with the older warmupDurationSecs, where Envoy's defaults hold. */
  readonly curve: { readonly minimumPercent: number; readonly aggression: number } | undefined;
}

// Envoy's bound on Maglev tables, which have to be smaller here as in Istio.
const maxTableSize = 5_000_010;
const maxRingSize = 8_388_608;
// Envoy's default, which Istio writes out when no algorithm is named.
const defaultRingSize = 1024;

/** Reads `loadBalancer`. */
export function readLoadBalancer(policy: Fields): LoadBalancer | undefined {
  const fields = policy.child("loadBalancer");
  if (fields === undefined) return undefined;
  const word = fields.oneOf("simple", ["UNSPECIFIED", "LEAST_CONN", "LEAST_REQUEST", "ROUND_ROBIN", "RANDOM", "PASSTHROUGH"]);
  const hash = fields.child("consistentHash");
  if (word !== undefined && hash !== undefined) fields.error("consistentHash", "is given beside simple, expected one of them");
  const balancer: LoadBalancer = {
    simple: word === "UNSPECIFIED" ? undefined : word === "LEAST_CONN" ? "LEAST_REQUEST" : word,
    consistentHash: hash === undefined ? undefined : readConsistentHash(hash),
    locality: readLocalitySetting(fields, "localityLbSetting"),
    warmup: readWarmup(fields),
  };
  const inTurn = hash === undefined && balancer.simple !== "RANDOM" && balancer.simple !== "PASSTHROUGH";
  if (balancer.warmup !== undefined && !inTurn)
    fields.warn(fields.has("warmup") ? "warmup" : "warmupDurationSecs", "has no effect: only LEAST_REQUEST and ROUND_ROBIN warm up");
  fields.finish();
  return balancer;
}

function readWarmup(balancer: Fields): Warmup | undefined {
  const fields = balancer.child("warmup");
  const old = readDuration(balancer, "warmupDurationSecs");
  if (fields === undefined) return old === undefined ? undefined : { duration: old, curve: undefined };
  if (old !== undefined) balancer.error("warmupDurationSecs", "is given beside warmup, expected one of them");
  const duration = readDuration(fields, "duration");
  if (!fields.has("duration")) fields.error("duration", "is missing, expected a duration such as 10s");
  const curve = {
    minimumPercent: fields.number("minimumPercent", { min: 0, max: 100 }) ?? 10,
    aggression: fields.number("aggression", { min: 1, max: Number.MAX_VALUE }) ?? 1,
  };
  fields.finish();
  return duration === undefined ? undefined : { duration, curve };
}

function readConsistentHash(hash: Fields): ConsistentHash {
  const header = hash.string("httpHeaderName");
  const cookie = hash.child("httpCookie");
  const sourceIp = hash.boolean("useSourceIp");
  const query = hash.string("httpQueryParameterName");
  const keys: readonly (HashKey | undefined)[] = [
    header === undefined ? undefined : { kind: "header", name: header },
    cookie === undefined ? undefined : readCookie(cookie),
    sourceIp === undefined ? undefined : { kind: "source-ip", enabled: sourceIp },
    query === undefined ? undefined : { kind: "query", name: query },
  ];
  const given = keys.filter((key) => key !== undefined);
  if (given.length > 1) hash.error("httpHeaderName", "is one of several keys, expected one of them");
  const consistent = { key: given[0], algorithm: readAlgorithm(hash) };
  hash.finish();
  return consistent;
}

function readAlgorithm(hash: Fields): ConsistentHash["algorithm"] {
  const ringSize = { min: 0, max: maxRingSize };
  const old = hash.integer("minimumRingSize", ringSize) ?? 0;
  const ring = hash.child("ringHash");
  const maglev = hash.child("maglev");
  if ([old === 0 ? undefined : old, ring, maglev].filter((each) => each !== undefined).length > 1)
    hash.error("minimumRingSize", "is given beside another algorithm, or both ringHash and maglev are, expected one of them");
  const minimumRingSize = ring?.integer("minimumRingSize", ringSize) ?? 0;
  const tableSize = maglev?.integer("tableSize", { min: 1, max: maxTableSize }) ?? 0;
  if (maglev !== undefined && !isPrime(tableSize)) maglev.error("tableSize", "is missing or no prime, expected a prime number");
  ring?.finish();
  maglev?.finish();
  if (maglev !== undefined) return { kind: "maglev", tableSize };
  return { kind: "ring", minimumRingSize: ring === undefined ? old || defaultRingSize : minimumRingSize };
}

function readCookie(cookie: Fields): HashKey {
  const key: HashKey = {
    kind: "cookie",
    name: cookie.requiredString("name"),
    path: cookie.string("path") ?? "",
    ttl: readDuration(cookie, "ttl"),
    attributes: cookie.list("attributes", (item) => {
      const attribute = { name: item.requiredString("name"), value: item.string("value") ?? "" };
      item.finish();
      return attribute;
    }),
  };
  cookie.finish();
  return key;
}

function isPrime(value: number): boolean {
  for (let divisor = 2; divisor * divisor <= value; divisor++) if (value % divisor === 0) return false;
  return value > 1;
}
