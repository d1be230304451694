// Requests to try RBAC rules with: made of what the rules themselves look for, so that each condition is met now and then.
import type { MetadataMatcher, ValueMatcher } from "../../src/envoy/metadata-matcher.ts";
import type { RbacPermission, RbacPrincipal, RbacRules } from "../../src/envoy/http-filter/rbac.ts";
import type { HeaderMatcher, StringMatcher } from "../../src/envoy/string-matcher.ts";
import type { RbacConnection, RbacRequest } from "../../src/match/rbac.ts";
import { HeaderMap } from "../../src/wire/header-map.ts";

/** A request and the connection it came over. */
export interface TriedRequest {
  readonly connection: RbacConnection;
  readonly request: RbacRequest | undefined;
}

interface Wanted {
  readonly texts: Map<string, string[]>;
  readonly ips: string[];
  readonly ports: number[];
  readonly metadata: Map<string, { readonly filter: string; readonly path: readonly string[]; readonly values: string[] }>;
}

const requestsPerRules = 400;

/** Requests, the same ones each time. */
export function requestsFor(rules: RbacRules): readonly TriedRequest[] {
  const wanted: Wanted = { texts: new Map(), ips: ["10.9.8.7", "2001:db8::9"], ports: [80, 1], metadata: new Map() };
  for (const { permissions, principals } of rules.policies) {
    for (const permission of permissions) collect(permission, wanted);
    for (const principal of principals) collect(principal, wanted);
  }
  const random = seeded(1);
  return Array.from({ length: requestsPerRules }, () => requestOf(wanted, random));
}

function collect(node: RbacPermission | RbacPrincipal, wanted: Wanted): void {
  const text = (kind: string, matcher: StringMatcher): void => void listIn(wanted.texts, kind).push(...exampleOf(matcher));
  switch (node.kind) {
    case "and":
    case "or":
      for (const inner of "rules" in node ? node.rules : node.ids) collect(inner, wanted);
      return;
    case "not":
      return collect("rule" in node ? node.rule : node.id, wanted);
    case "header":
      return void listIn(wanted.texts, `header ${node.header.name}`).push(...headerExamples(node.header));
    case "urlPath":
      return text("path", node.matcher);
    case "uriTemplate":
      return void listIn(wanted.texts, "path").push(node.template.replaceAll("**", "a/b").replaceAll("*", "a"));
    case "requestedServerName":
      return text("sni", node.matcher);
    case "destinationIp":
    case "ip":
      return void wanted.ips.push(node.range.addressPrefix);
    case "destinationPort":
      return void wanted.ports.push(node.port);
    case "authenticated":
      if (node.principalName !== undefined) text("principal", node.principalName);
      return;
    case "metadata":
      return collectMetadata(node.matcher, wanted);
    default:
  }
}

function collectMetadata({ filter, path, value }: MetadataMatcher, wanted: Wanted): void {
  const key = [filter, ...path].join("/");
  const known = wanted.metadata.get(key) ?? { filter, path, values: [] };
  known.values.push(...valueExamples(value));
  wanted.metadata.set(key, known);
}

function valueExamples(matcher: ValueMatcher): readonly string[] {
  if (matcher.kind === "string") return exampleOf(matcher.matcher);
  if (matcher.kind === "oneOf") return valueExamples(matcher.item);
  return matcher.kind === "or" ? matcher.matchers.flatMap(valueExamples) : [];
}

function headerExamples({ match }: HeaderMatcher): readonly string[] {
  return match.kind === "string" ? exampleOf(match.matcher) : ["present"];
}

/** What matches, and the same with something before and after it. */
function exampleOf(matcher: StringMatcher): readonly string[] {
  if (matcher.kind === "safeRegex")
    return [
      matcher.regex
        .replace(/\(([^|)]*)\|?[^)]*\)\??/g, "")
        .replaceAll(".*", "x")
        .replaceAll(".+", "x"),
    ];
  return [matcher.value, `${matcher.value}z`, `z${matcher.value}`, matcher.value.toUpperCase()];
}

function listIn(map: Map<string, string[]>, key: string): string[] {
  const known = map.get(key) ?? [];
  map.set(key, known);
  return known;
}

function requestOf({ texts, ips, ports, metadata }: Wanted, random: () => number): TriedRequest {
  const oneOf = <T>(list: readonly T[] | undefined, other: T): T =>
    list === undefined || list.length === 0 || random() < 0.2 ? other : list[Math.floor(random() * list.length)]!;
  const headers = new HeaderMap();
  for (const [kind, values] of texts) {
    const name = /^header ([^:].*)$/.exec(kind)?.[1];
    if (name !== undefined && random() < 0.8) headers.add(name, oneOf(values, "other"));
  }
  const dynamicMetadata = new Map<string, Record<string, unknown>>();
  for (const { filter, path, values } of metadata.values()) {
    if (random() < 0.2) continue;
    const value = oneOf(values, "other");
    put(dynamicMetadata, filter, path, random() < 0.5 ? value : ["first", value]);
  }
  const connection: RbacConnection = {
    directRemote: { ip: oneOf(ips, "10.0.0.1") },
    remote: { ip: oneOf(ips, "10.0.0.1") },
    local: { ip: oneOf(ips, "10.0.0.2"), port: oneOf(ports, 9999) },
    serverName: oneOf(texts.get("sni"), ""),
    tls:
      random() < 0.2
        ? undefined
        : { validated: random() < 0.9, uriSans: [oneOf(texts.get("principal"), "spiffe://other")], dnsSans: [], subject: "" },
    dynamicMetadata,
  };
  if (random() < 0.05) return { connection, request: undefined };
  const request = {
    headers,
    method: oneOf(texts.get("header :method"), "GET"),
    path: oneOf(texts.get("path"), "/") + (random() < 0.3 ? "?q=1" : ""),
    authority: oneOf(texts.get("header :authority"), "other"),
    scheme: "http",
    info: { dynamicMetadata },
  };
  return { connection, request };
}

function put(metadata: Map<string, Record<string, unknown>>, filter: string, path: readonly string[], value: unknown): void {
  let at = metadata.get(filter);
  if (at === undefined) metadata.set(filter, (at = {}));
  for (const key of path.slice(0, -1)) at = (at[key] ??= {}) as Record<string, unknown>;
  const last = path.at(-1);
  if (last !== undefined && typeof at === "object") at[last] = value;
}

/** mulberry32. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
