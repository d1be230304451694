// RBAC rules (config.rbac.v3.RBAC) as one decision: which policy, if any, a request or connection meets. What follows from it
// is the filter's business. Rules about requests never match a bare connection.
import type { CidrRange } from "../envoy/address.ts";
import type { RbacPermission, RbacPolicy, RbacPrincipal, RbacRules } from "../envoy/http-filter/rbac.ts";
import { cidrContains, parseCidr, parseIp } from "./cidr.ts";
import type { HeaderSource } from "./header-matcher.ts";
import { compileHeaderMatcher } from "./header-matcher.ts";
import { compileMetadataMatcher, type DynamicMetadata, type MetadataTest } from "./metadata-matcher.ts";
import { compilePathMatcher, withoutQuery } from "./path-matcher.ts";
import type { StringTest } from "./string-matcher.ts";
import { compileStringMatcher } from "./string-matcher.ts";

/** The facts of a connection that rules look at. */
export interface RbacConnection {
  /** The socket's peer. */
  readonly directRemote: { readonly ip: string };
  /** After PROXY protocol. */
  readonly remote: { readonly ip: string };
  readonly local: { readonly ip: string; readonly port: number };
  /** SNI, lower case; empty when none. */
  readonly serverName: string;
  readonly tls:
    | { readonly validated: boolean; readonly uriSans: readonly string[]; readonly dnsSans: readonly string[]; readonly subject: string }
    | undefined;
  /** What network filters have said. */
  readonly dynamicMetadata: DynamicMetadata;
}

/** The facts of a request that rules look at. */
export interface RbacRequest extends HeaderSource {
  readonly info: {
    readonly dynamicMetadata: DynamicMetadata;
    /** The client as a trusted x-forwarded-for names it, otherwise the connection's. */
    readonly remote?: { readonly ip: string };
  };
}

/** Outcome of rules. `policy` is the name of the one that decided, undefined when none matched. */
export interface RbacDecision {
  readonly allowed: boolean;
  readonly policy: string | undefined;
}

/** Compiled rules. `request` is undefined for plain connections. */
export type RbacTest = (connection: RbacConnection, request: RbacRequest | undefined) => RbacDecision;

/** Compiles rules. Throws when a regex, range or template is not valid, which decoding has ruled out for decoded configuration. */
export function compileRbac(rules: RbacRules): RbacTest {
  const policies = rules.policies.map(compilePolicy);
  const matched = rules.policies.map(({ name }): RbacDecision => ({ allowed: rules.action !== "DENY", policy: name }));
  // LOG decides nothing; ALLOW lets only what matched pass.
  const unmatched: RbacDecision = { allowed: rules.action !== "ALLOW", policy: undefined };
  return (connection, request) => {
    for (let i = 0; i < policies.length; i++) if (policies[i]!(connection, request)) return matched[i]!;
    return unmatched;
  };
}

type Test = (connection: RbacConnection, request: RbacRequest | undefined) => boolean;

function compilePolicy(policy: RbacPolicy): Test {
  const permitted = anyOf(policy.permissions.map(compilePermission));
  const identified = anyOf(policy.principals.map(compilePrincipal));
  return (connection, request) => permitted(connection, request) && identified(connection, request);
}

function compilePermission(rule: RbacPermission): Test {
  switch (rule.kind) {
    case "any":
      return always;
    case "and":
      return allOf(rule.rules.map(compilePermission));
    case "or":
      return anyOf(rule.rules.map(compilePermission));
    case "not":
      return not(compilePermission(rule.rule));
    case "header":
      return ofRequest(compileHeaderMatcher(rule.header));
    case "urlPath":
      return ofPath(compileStringMatcher(rule.matcher));
    case "uriTemplate":
      return ofPath(compilePathMatcher({ kind: "template", template: rule.template }));
    case "destinationIp":
      return inRange(rule.range, (connection) => connection.local.ip);
    case "destinationPort":
      return (connection) => connection.local.port === rule.port;
    case "destinationPortRange":
      return (connection) => connection.local.port >= rule.start && connection.local.port < rule.end;
    case "requestedServerName": {
      const test = compileStringMatcher(rule.matcher);
      return (connection) => test(connection.serverName);
    }
    case "metadata":
      return ofMetadata(compileMetadataMatcher(rule.matcher));
  }
}

function compilePrincipal(id: RbacPrincipal): Test {
  switch (id.kind) {
    case "any":
      return always;
    case "and":
      return allOf(id.ids.map(compilePrincipal));
    case "or":
      return anyOf(id.ids.map(compilePrincipal));
    case "not":
      return not(compilePrincipal(id.id));
    case "header":
      return ofRequest(compileHeaderMatcher(id.header));
    case "urlPath":
      return ofPath(compileStringMatcher(id.matcher));
    case "ip":
      return inRange(id.range, addressOf(id.which));
    case "authenticated":
      return authenticated(id.principalName && compileStringMatcher(id.principalName));
    case "metadata":
      return ofMetadata(compileMetadataMatcher(id.matcher));
  }
}

// A name counts only on a certificate that was verified; then any of its names may match.
function authenticated(test: StringTest | undefined): Test {
  return ({ tls }) => {
    if (tls === undefined || !tls.validated) return false;
    return test === undefined || tls.uriSans.some(test) || tls.dnsSans.some(test) || test(tls.subject);
  };
}

type Address = (connection: RbacConnection, request: RbacRequest | undefined) => string;

function addressOf(which: "direct" | "remote" | "source"): Address {
  switch (which) {
    case "direct":
      return (connection) => connection.directRemote.ip;
    case "source":
      return (connection) => connection.remote.ip;
    case "remote":
      return (connection, request) => (request?.info.remote ?? connection.remote).ip;
  }
}

function inRange(model: CidrRange, address: Address): Test {
  const range = parseCidr(model);
  if (range === undefined) throw new Error(`${model.addressPrefix}/${model.prefixLen} is not an IP range`);
  // Requests come many from one address.
  let lastText = "";
  let lastInside = false;
  return (connection, request) => {
    const text = address(connection, request);
    if (text !== lastText) {
      const ip = parseIp(text);
      lastInside = ip !== undefined && cidrContains(range, ip);
      lastText = text;
    }
    return lastInside;
  };
}

function ofRequest(test: (request: HeaderSource) => boolean): Test {
  return (_connection, request) => request !== undefined && test(request);
}

function ofPath(test: (path: string) => boolean): Test {
  return (_connection, request) => request !== undefined && test(withoutQuery(request.path));
}

/** A request's own metadata; a bare connection's when there is no request. */
function ofMetadata(test: MetadataTest): Test {
  return (connection, request) => test(request === undefined ? connection.dynamicMetadata : request.info.dynamicMetadata);
}

function always(): boolean {
  return true;
}

function not(test: Test): Test {
  return (connection, request) => !test(connection, request);
}

function anyOf(tests: readonly Test[]): Test {
  const [only] = tests;
  if (tests.length === 1 && only !== undefined) return only;
  return (connection, request) => {
    for (const test of tests) if (test(connection, request)) return true;
    return false;
  };
}

function allOf(tests: readonly Test[]): Test {
  const [only] = tests;
  if (tests.length === 1 && only !== undefined) return only;
  return (connection, request) => {
    for (const test of tests) if (!test(connection, request)) return false;
    return true;
  };
}
