// Cases of the CSRF filter: whose pages may change something.
import { any, direct, filter, type FilterCase, type FilterTable, request, route } from "./case.ts";

const share = (numerator: number): object => ({ default_value: { numerator, denominator: "HUNDRED" } });
const policy = (fields: object): object => ({ csrf: any("csrf.v3.CsrfPolicy", fields) });
const off = policy({ filter_enabled: share(0) });

const sent = (method: string, path: string, fields: readonly string[], host?: string): string =>
  request(method, path, [...fields, "content-length: 0"], "", host);
const passes = (title: string, fields: readonly string[], method = "POST", host?: string): FilterCase => ({
  title: `passes ${title}`,
  request: sent(method, "/", fields, host),
  status: 200,
  details: "via_upstream",
});
const refuses = (title: string, fields: readonly string[], method = "POST", host?: string): FilterCase => ({
  title: `refuses ${title}`,
  request: sent(method, "/", fields, host),
  status: 403,
  details: "csrf_origin_mismatch",
  has: ["content-type: text/plain", "Invalid origin"],
});
const evil = ["origin: http://evil.test"];

/** Origins in every spelling. */
export const csrfCases: FilterTable = {
  name: "csrf",
  filters: [
    filter("csrf", "csrf.v3.CsrfPolicy", {
      filter_enabled: share(100),
      additional_origins: [{ exact: "ok.test" }, { suffix: ".good.test:8443" }],
    }),
  ],
  routes: [
    route("/off", off),
    route("/shadow", policy({ filter_enabled: share(0), shadow_enabled: share(100) })),
    direct("/direct", 200, off),
    route("/"),
  ],
  cases: [
    passes("what changes nothing", evil, "GET"),
    passes("OPTIONS", evil, "OPTIONS"),
    refuses("a request without an origin", []),
    passes("the same origin", ["origin: http://a.test"]),
    passes("it under TLS", ["origin: https://a.test"]),
    refuses("it with the usual port", ["origin: http://a.test:80"]),
    refuses("another port", ["origin: http://a.test:8080"]),
    passes("the same port", ["origin: http://a.test:81"], "POST", "a.test:81"),
    refuses("no port for one", ["origin: http://a.test"], "POST", "a.test:80"),
    passes("a bare host", ["origin: a.test"]),
    passes("an IPv6 address", ["origin: http://[::1]:80"], "POST", "[::1]:80"),
    refuses("an opaque origin", ["origin: null"]),
    refuses("an opaque origin, whatever the referer", ["origin: null", "referer: http://a.test/"]),
    passes("the same referer", ["referer: http://a.test/x?y"]),
    passes("the referer for an empty origin", ["origin: ", "referer: http://a.test/"]),
    refuses("a referer elsewhere", ["referer: http://evil.test/a.test"]),
    ...["POST", "PUT", "DELETE", "PATCH"].map((method) => refuses(`${method} from elsewhere`, evil, method)),
    passes("an additional origin", ["origin: http://ok.test"], "PUT"),
    passes("an additional suffix", ["origin: https://x.good.test:8443"]),
    refuses("a suffix on another port", ["origin: https://x.good.test"]),
    refuses("other case", ["origin: http://A.test"]),
    passes("user information", ["origin: http://u@a.test"]),
    refuses("the host as user information", ["origin: http://a.test@evil.test"]),
    passes("a path", ["origin: http://a.test/"]),
    passes("a query", ["origin: http://a.test?x"]),
    refuses("a fragment", ["origin: http://a.test#x"]),
    passes("any scheme", ["origin: ftp://a.test"]),
    passes("a scheme in capitals", ["origin: HTTP://a.test"]),
    refuses("two origins", ["origin: http://a.test", "origin: http://evil.test"]),
    refuses("a space", ["origin: http://a.test x"]),
    refuses("a port that is none", ["origin: http://a.test:99999"]),
    { ...passes("anything where the route's policy is off", evil), request: sent("POST", "/off", evil) },
    { ...passes("anything where it only watches", evil), request: sent("POST", "/shadow", evil) },
    { title: "passes a route's own answer", request: sent("POST", "/direct", evil), status: 200, details: "direct_response" },
  ],
  stats: { "http.in.csrf.missing_source_origin": 3, "http.in.csrf.request_invalid": 16, "http.in.csrf.request_valid": 14 },
};
