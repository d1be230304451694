// What CORS policies of several levels come to.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CorsPolicy } from "../../../../../src/envoy/http-filter/cors.ts";
import { effectivePolicy } from "../../../../../src/filter/http/cors/effective-policy.ts";

const unsaid: CorsPolicy = {
  allowOrigin: [],
  allowMethods: "",
  allowHeaders: "",
  exposeHeaders: "",
  maxAge: "",
  allowCredentials: undefined,
  allowPrivateNetworkAccess: undefined,
  forwardNotMatchingPreflights: undefined,
  enabledFraction: 1,
  shadowFraction: 0,
};
const host: CorsPolicy = {
  allowOrigin: [{ kind: "exact", value: "https://host", ignoreCase: false }],
  allowMethods: "GET",
  allowHeaders: "x-host",
  exposeHeaders: "x-e",
  maxAge: "1",
  allowCredentials: true,
  allowPrivateNetworkAccess: true,
  forwardNotMatchingPreflights: false,
  enabledFraction: 0,
  shadowFraction: 1,
};

test("what a route does not say, its host does; whether it is enabled is the route's", () => {
  assert.deepEqual(effectivePolicy([host, unsaid]), { ...host, enabledFraction: 1, shadowFraction: 0 });
});

test("what a route says counts, also when it says no", () => {
  const route = {
    ...unsaid,
    allowMethods: "PUT",
    allowCredentials: false,
    allowOrigin: [{ kind: "prefix", value: "x", ignoreCase: false }],
  } as const;
  const { allowMethods, allowCredentials, allowOrigin, maxAge } = effectivePolicy([host, route]);
  assert.deepEqual([allowMethods, allowCredentials, allowOrigin, maxAge], ["PUT", false, route.allowOrigin, "1"]);
});
