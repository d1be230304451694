// Rate limit policies to descriptors: what a request counts as. For every filter that limits by descriptor.
import type { MetadataKey, RateLimitAction, RateLimitPolicy } from "../../envoy/route/rate-limit.ts";
import { compileHeaderMatcher } from "../../match/header-matcher.ts";
import { cidrContains, parseCidr, parseIp } from "../../match/cidr.ts";
import { valueAt } from "../../match/metadata-matcher.ts";
import { compileQueryMatcher, queryParameter } from "../../match/query-matcher.ts";
import { compileFormat } from "../../telemetry/format.ts";
import type { FilterDeps } from "../../filter/filter.ts";
import type { HttpStream } from "../stream.ts";

/** One key and value of a descriptor. */
export interface DescriptorEntry {
  readonly key: string;
  /** Latin1. */
  readonly value: string;
}

/** A limit that the request itself brought along. */
export interface LimitOverride {
  readonly requestsPerUnit: number;
  /** Number of envoy.type.v3.RateLimitUnit. */
  readonly unit: number;
}

/** extensions.common.ratelimit.v3.RateLimitDescriptor. */
export interface Descriptor {
  readonly entries: readonly DescriptorEntry[];
  readonly limit: LimitOverride | undefined;
}

/** What of a stream says what it counts as. */
export type CountedRequest = Pick<
  HttpStream,
  "route" | "target" | "info" | "headers" | "authority" | "path" | "method" | "scheme" | "tls" | "internal"
>;

/** The descriptors of a stream by some policies; those that lack an entry are left out. */
type DescriptorsOf = (stream: CountedRequest) => readonly Descriptor[];

// An entry, nothing where the action is passed over, or undefined where the descriptor is none.
type EntryOf = (stream: CountedRequest) => DescriptorEntry | "skip" | undefined;

/** What becomes of a virtual host's policies where the route has its own. */
export type VirtualHostLimits = "override" | "include" | "ignore";

/** Finds what streams count as for one filter. */
export class DescriptorSource {
  readonly #stage: number;
  readonly #node: FilterDeps["node"];
  readonly #local: boolean;
  readonly #compiled = new WeakMap<readonly RateLimitPolicy[], DescriptorsOf>();

  /**
   * @param stage whose policies are the filter's
   * @param local for local limits, which pass policies with a disable_key over
   */
  constructor(stage: number, node: FilterDeps["node"], local = false) {
    this.#stage = stage;
    this.#local = local;
    this.#node = node;
  }

  /** By these policies. */
  by(policies: readonly RateLimitPolicy[], stream: CountedRequest): readonly Descriptor[] {
    let compiled = this.#compiled.get(policies);
    if (compiled === undefined) this.#compiled.set(policies, (compiled = this.#compile(policies)));
    return compiled(stream);
  }

  /** By the policies of the stream's route and, as `shared` says, of its virtual host. */
  ofRoute(stream: CountedRequest, shared: VirtualHostLimits): readonly Descriptor[] {
    const { route } = stream;
    if (route?.action.kind !== "route") return [];
    const { rateLimits: own = [], includeVhRateLimits } = route.action.model;
    const hosts = route.virtualHost.rateLimits ?? [];
    const mode = includeVhRateLimits === true ? "include" : shared;
    const descriptors = own.length === 0 ? [] : this.by(own, stream);
    if (hosts.length === 0 || mode === "ignore" || (mode === "override" && own.length > 0)) return descriptors;
    return [...descriptors, ...this.by(hosts, stream)];
  }

  #compile(policies: readonly RateLimitPolicy[]): DescriptorsOf {
    const mine = policies.filter(({ stage, disableKey }) => stage === this.#stage && !(this.#local && disableKey));
    const all = mine.map((policy) => compilePolicy(policy, this.#node));
    return (stream) => all.flatMap((descriptorOf) => descriptorOf(stream) ?? []);
  }
}

function compilePolicy({ actions, limit }: RateLimitPolicy, node: FilterDeps["node"]): (stream: CountedRequest) => Descriptor | undefined {
  const entries = actions.map((action) => compileAction(action, node));
  return (stream) => {
    const found: DescriptorEntry[] = [];
    for (const entryOf of entries) {
      const entry = entryOf(stream);
      if (entry === undefined) return undefined;
      if (entry !== "skip") found.push(entry);
    }
    return { entries: found, limit: limit && limitIn(stream, limit) };
  };
}

function compileAction(action: RateLimitAction, node: FilterDeps["node"]): EntryOf {
  switch (action.kind) {
    case "sourceCluster":
      return () => ({ key: "source_cluster", value: node.cluster });
    case "destinationCluster":
      return ({ target }) => ({ key: "destination_cluster", value: target?.name ?? "" });
    case "remoteAddress":
      return ({ info }) => ({ key: "remote_address", value: info.remote.ip });
    case "maskedRemoteAddress":
      return ({ info }) => maskedAddress(info.remote.ip, action);
    case "requestHeader":
      return (stream) => {
        const value = headerOf(stream, action.header);
        return value === undefined ? (action.skipIfAbsent ? "skip" : undefined) : { key: action.key, value };
      };
    case "queryParameter":
      return ({ path }) => {
        const value = queryParameter(queryOf(path), action.parameter);
        if (value === undefined) return action.skipIfAbsent ? "skip" : undefined;
        return { key: action.key, value: decoded(value, "") };
      };
    case "remoteAddressMatch":
      return compileAddressMatch(action);
    case "genericKey":
      return () => action;
    case "headerMatch": {
      const tests = action.headers.map(compileHeaderMatcher);
      return (stream) => (tests.every((test) => test(stream)) === action.expectMatch ? action : undefined);
    }
    case "queryMatch": {
      const tests = action.parameters.map(compileQueryMatcher);
      return ({ path }) => {
        // Unlike those of routes, these look at values as they are meant. What separates values stays as it was sent.
        const query = decoded(queryOf(path), "&");
        return tests.every((test) => test(query)) === action.expectMatch ? action : undefined;
      };
    }
    case "metadata":
      return (stream) => {
        const { filter, path } = action.metadataKey;
        const from = action.source === "DYNAMIC" ? stream.info.dynamicMetadata?.get(filter) : stream.route?.model?.metadata[filter];
        const found = valueAt(from, path);
        const value = typeof found === "string" && found !== "" ? found : action.defaultValue;
        return value === "" ? (action.skipIfAbsent ? "skip" : undefined) : { key: action.key, value };
      };
  }
}

function compileAddressMatch(action: RateLimitAction & { readonly kind: "remoteAddressMatch" }): EntryOf {
  const ranges = action.ranges.flatMap((range) => parseCidr(range) ?? []);
  const format = compileFormat(action.value, { missing: "" });
  // Formats were checked when the configuration was read.
  if (!format.ok) throw new Error(format.issues.map((issue) => issue.message).join("; "));
  const valueOf = format.value;
  const { key, defaultValue, invertMatch } = action;
  return ({ info }) => {
    const ip = parseIp(info.remote.ip);
    if (ip === undefined || ranges.some((range) => cidrContains(range, ip)) === invertMatch) return undefined;
    const value = valueOf(info) || defaultValue;
    return value === "" ? undefined : { key, value };
  };
}

function queryOf(path: string): string {
  const at = path.indexOf("?");
  return at < 0 ? "" : path.slice(at + 1);
}

function decoded(text: string, but: string): string {
  return text.replace(/%([0-9A-Fa-f]{2})/g, (escape, hex: string) => {
    const byte = String.fromCharCode(Number.parseInt(hex, 16));
    return byte === but ? escape : byte;
  });
}

function headerOf(stream: CountedRequest, name: string): string | undefined {
  switch (name) {
    case ":path":
      return stream.path;
    case ":method":
      return stream.method;
    case ":authority":
    case "host":
      return stream.authority;
    case ":scheme":
      return stream.scheme;
    default:
      return stream.headers.get(name);
  }
}

const units: Readonly<Record<string, number>> = { UNKNOWN: 0, SECOND: 1, MINUTE: 2, HOUR: 3, DAY: 4, MONTH: 5, YEAR: 6 };

function limitIn(stream: CountedRequest, key: MetadataKey): LimitOverride | undefined {
  const found = valueAt(stream.info.dynamicMetadata?.get(key.filter), key.path);
  if (typeof found !== "object" || found === null) return undefined;
  const { requests_per_unit: requests, unit } = found as Readonly<Record<string, unknown>>;
  if (typeof requests !== "number" || typeof unit !== "string" || !Object.hasOwn(units, unit)) return undefined;
  return { requestsPerUnit: requests, unit: units[unit]! };
}

function maskedAddress(ip: string, { v4Bits, v6Bits }: { readonly v4Bits: number; readonly v6Bits: number }): DescriptorEntry | undefined {
  const words = parseIp(ip);
  if (words === undefined) return undefined;
  const bits = words.length === 1 ? v4Bits : v6Bits;
  const masked = words.map((word, i) => {
    const kept = Math.min(32, Math.max(0, bits - 32 * i));
    return kept === 0 ? 0 : (word & (-1 << (32 - kept))) >>> 0;
  });
  const text = masked.length === 1 ? dotted(masked[0]!) : new URL(`http://[${colons(masked)}]/`).hostname.slice(1, -1);
  return { key: "masked_remote_address", value: `${text}/${bits}` };
}

const dotted = (word: number): string => [24, 16, 8, 0].map((shift) => (word >>> shift) & 0xff).join(".");
const colons = (words: readonly number[]): string =>
  words.flatMap((word) => [word >>> 16, word & 0xffff].map((half) => half.toString(16))).join(":");
