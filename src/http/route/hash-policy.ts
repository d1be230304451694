// Hash policies of a route: the number by which consistent-hash balancers pick, and the cookie that makes it stick.
import type { HashPolicy } from "../../envoy/route/route.ts";
import { requireRegex } from "../../match/string-matcher.ts";
import { queryParameter } from "../../match/query-matcher.ts";
import type { Hash64 } from "../../match/xxhash64.ts";
import { hashToHex, xxHash64 } from "../../match/xxhash64.ts";
import type { IpPort, StreamInfo } from "../../telemetry/stream-info.ts";
import type { CompiledForward, RouteRequest } from "./route-table.ts";

/** The hash of one policy, if it applies, and the `set-cookie` value when it made a cookie. */
interface PolicyHash {
  readonly hash: Hash64 | undefined;
  readonly setCookie?: string;
}

type PolicyHasher = (request: RouteRequest, info: Pick<StreamInfo, "remote" | "connection">) => PolicyHash | undefined;

/**
 * Compiles a route's hash policies; undefined when there is none. The result is Envoy's hash, so that it picks the host that
 * Envoy would.
 */
export function compileHashPolicies(models: readonly HashPolicy[]): CompiledForward["hash"] {
  if (models.length === 0) return undefined;
  const policies = models.map((model) => ({ hasher: compilePolicy(model), terminal: model.terminal }));
  return (request, info) => {
    let hi = 0;
    let lo = 0;
    let found = false;
    let setCookie: string | undefined;
    for (const { hasher, terminal } of policies) {
      const made = hasher(request, info);
      setCookie ??= made?.setCookie;
      if (made?.hash !== undefined) {
        // Rotated by one between policies, so that the same policy twice does not cancel itself out.
        const turnedHi = found ? (hi << 1) | (lo >>> 31) : 0;
        const turnedLo = found ? (lo << 1) | (hi >>> 31) : 0;
        hi = turnedHi ^ made.hash.hi;
        lo = turnedLo ^ made.hash.lo;
        found = true;
      }
      if (terminal && found) break;
    }
    const hash = found ? { hi: hi >>> 0, lo: lo >>> 0 } : undefined;
    return setCookie === undefined ? { hash } : { hash, setCookie };
  };
}

/** The value of a cookie, or undefined; quotes around it are not part of it. */
export function cookieValue(request: RouteRequest, name: string): string | undefined {
  const { names, values } = request.headers;
  for (let i = names.indexOf("cookie"); i >= 0; i = names.indexOf("cookie", i + 1)) {
    for (const pair of values[i]!.split(";")) {
      const equals = pair.indexOf("=");
      if (equals < 0 || pair.slice(0, equals).trimStart() !== name) continue;
      const value = pair.slice(equals + 1);
      return value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
    }
  }
  return undefined;
}

function compilePolicy(model: HashPolicy): PolicyHasher {
  switch (model.kind) {
    case "header": {
      const name = model.name.toLowerCase();
      if (model.rewrite === undefined) return (request) => headerHash(request, name, unchanged);
      const regex = requireRegex(model.rewrite.regex);
      const { substitution } = model.rewrite;
      return (request) => headerHash(request, name, (value) => regex.replaceAll(value, substitution));
    }
    case "queryParameter":
      return ({ path }) => {
        const at = path.indexOf("?");
        const value = at < 0 ? undefined : queryParameter(path.slice(at + 1), model.name);
        return value === undefined ? undefined : { hash: xxHash64(value) };
      };
    case "sourceIp":
      return (_request, info) => ({ hash: xxHash64(info.remote.ip) });
    case "cookie":
      return compileCookie(model);
  }
}

function compileCookie(model: Extract<HashPolicy, { kind: "cookie" }>): PolicyHasher {
  const { name, ttlMs } = model;
  const seconds = Math.floor((ttlMs ?? 0) / 1000);
  const further = model.attributes.map((attribute) => `; ${attribute.name}${attribute.value === "" ? "" : `=${attribute.value}`}`).join("");
  const attributes = `${seconds > 0 ? `; Max-Age=${seconds}` : ""}${model.path === "" ? "" : `; Path=${model.path}`}${further}; HttpOnly`;
  return (request, info) => {
    const sent = cookieValue(request, name);
    if (sent !== undefined && sent !== "") return { hash: xxHash64(sent) };
    if (ttlMs === undefined) return undefined;
    // By connection, so that requests that race on one connection get the same cookie.
    const value = hashToHex(xxHash64(addressText(info.remote) + addressText(info.connection.local)));
    return { hash: xxHash64(value), setCookie: `${name}="${value}"${attributes}` };
  };
}

const unchanged = (value: string): string => value;

function headerHash(request: RouteRequest, name: string, rewrite: (value: string) => string): PolicyHash | undefined {
  if (name === ":authority" || name === "host") return { hash: xxHash64(rewrite(request.authority)) };
  if (name === ":path") return { hash: xxHash64(rewrite(request.path)) };
  if (name === ":method") return { hash: xxHash64(rewrite(request.method)) };
  const { names, values } = request.headers;
  const first = names.indexOf(name);
  if (first < 0) return undefined;
  if (names.indexOf(name, first + 1) < 0) return { hash: xxHash64(rewrite(values[first]!)) };
  // The order in which repeated values came must not matter.
  const sorted = values.filter((_, i) => names[i] === name).sort();
  let hash: Hash64 | undefined;
  for (const value of sorted) hash = xxHash64(rewrite(value), hash);
  return { hash };
}

function addressText(address: IpPort): string {
  return address.ip.includes(":") ? `[${address.ip}]:${address.port}` : `${address.ip}:${address.port}`;
}
