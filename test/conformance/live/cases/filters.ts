// cors, rbac, fault, local_ratelimit.
import { type LiveCase, raw, request } from "../case.ts";

const get = (name: string, target: string, lines: readonly string[] = [], count = 1): LiveCase =>
  raw(name, request("GET", target, lines).repeat(count), { listener: "filters", replies: count, records: count });
const preflight = (name: string, target: string, lines: readonly string[]): LiveCase =>
  raw(name, request("OPTIONS", target, lines), { listener: "filters" });

export const filterCases: readonly LiveCase[] = [
  preflight("cors: preflight by suffix", "/cors/some", ["Origin: https://a.ok.test", "Access-Control-Request-Method: PUT"]),
  preflight("cors: preflight by regex has to match all of the origin", "/cors/some", [
    "Origin: https://r1.evil",
    "Access-Control-Request-Method: PUT",
  ]),
  preflight("cors: preflight by regex", "/cors/some", [
    "Origin: https://r1",
    "Access-Control-Request-Method: FROB",
    "Access-Control-Request-Headers: x-z",
  ]),
  preflight("cors: preflight with an empty method", "/cors/some", ["Origin: https://r1", "Access-Control-Request-Method:"]),
  preflight("cors: preflight with credentials for any origin", "/cors/any", ["Origin: null", "Access-Control-Request-Method: GET"]),
  preflight("cors: preflight that does not match is not forwarded", "/cors/upstream", [
    "Origin: https://b",
    "Access-Control-Request-Method: GET",
  ]),
  preflight("cors: preflight for a private network", "/cors/private", [
    "Origin: https://a",
    "Access-Control-Request-Method: GET",
    "Access-Control-Request-Private-Network: true",
  ]),
  get("cors: simple request", "/cors/some", ["Origin: https://a.ok.test"]),
  get("cors: simple request with credentials", "/cors/any", ["Origin: https://x"]),
  get("cors: simple request of another origin", "/cors/some", ["Origin: https://bad"]),
  get("cors: two origins", "/cors/some", ["Origin: https://a.ok.test", "Origin: https://bad"]),
  get("cors: the origin's own headers are overwritten", "/cors/upstream/e", ["Origin: https://a"]),
  get("rbac: allowed method", "/rbac/method"),
  raw("rbac: method not allowed", request("DELETE", "/rbac/method"), { listener: "filters" }),
  get("rbac: denied path", "/rbac/path/secret?x"),
  get("rbac: path that only looks alike", "/rbac/path/Secret"),
  get("rbac: not", "/rbac/not", ["x-bad: 1"]),
  get("rbac: address", "/rbac/ip"),
  get("rbac: principal without TLS", "/rbac/cert"),
  get("rbac: and with or", "/rbac/and/y", ["x-a: 1"]),
  get("rbac: and without or", "/rbac/and/n", ["x-a: 1"]),
  get("rbac: header list against an exact value", "/rbac/and/y", ["x-a: 1", "x-a: 2"]),
  get("fault: abort", "/fault/abort"),
  get("fault: headers match", "/fault/match", ["x-f: 1"]),
  get("fault: headers do not match", "/fault/match", ["x-f: 2"]),
  get("fault: delay and gRPC abort of an HTTP request", "/fault/delay"),
  get("rate limit: second is refused", "/limit/plain", [], 2),
  get("rate limit: status and headers of one's own", "/limit/status", [], 2),
  get("rate limit: not enforced", "/limit/shadow", [], 2),
  get("rate limit: draft headers count down", "/limit/drafted"),
  get("rate limit: draft headers count down to the refusal", "/limit/drafted", [], 2),
  get("rate limit: resource exhausted, HTTP", "/limit/grpc", [], 2),
];
