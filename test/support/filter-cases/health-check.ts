// Cases of the filter that answers health checks.
import { filter, type FilterTable, get, post, route } from "./case.ts";

const check = (name: string, path: string, fields: object): object =>
  filter(name, "health_check.v3.HealthCheck", {
    pass_through_mode: false,
    headers: [{ name: ":path", string_match: { exact: path } }],
    ...fields,
  });
const atLeast = (cluster: string, value: number): object => ({ cluster_min_healthy_percentages: { [cluster]: { value } } });
const checked = "x-envoy-upstream-healthchecked-cluster: my-cluster";
const failing = "x-envoy-immediate-health-check-fail: true";
const ok = { status: 200, details: "health_check_ok", has: [checked, "content-length: 0"] };
const passed = { status: 200, details: "via_upstream", has: [checked, "x-origin: yes"] };
const failed = { status: 503, flags: "LH", has: [checked] };

/** Modes, caching, clusters' health, and failing on demand. */
export const healthCheckCases: FilterTable = {
  name: "health_check",
  filters: [
    check("plain", "/health", {}),
    check("cached", "/cached", { pass_through_mode: true, cache_time: "600s" }),
    check("through", "/through", { pass_through_mode: true }),
    check("half", "/half", atLeast("half", 50)),
    check("most", "/most", atLeast("half", 51)),
    check("empty", "/empty", atLeast("none", 50)),
    check("missing", "/missing", atLeast("missing", 50)),
    check("nothing", "/nothing", atLeast("none", 0)),
  ],
  routes: [route("/")],
  clusters: [
    { name: "none", type: "STATIC", load_assignment: { cluster_name: "none", endpoints: [] } },
    {
      name: "half",
      type: "STATIC",
      load_assignment: {
        cluster_name: "half",
        endpoints: [
          {
            lb_endpoints: ["HEALTHY", "UNHEALTHY"].map((health_status, i) => ({
              health_status,
              endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: 1 + i } } },
            })),
          },
        ],
      },
    },
  ],
  cases: [
    { title: "answers a check", request: get("/health"), ...ok },
    { title: "answers a check with a body", request: post("/health", "abc"), ...ok },
    { title: "leaves other requests alone", request: get("/other"), status: 200, details: "via_upstream", lacks: [checked, failing] },
    { title: "passes a check through", request: get("/through"), ...passed },
    { title: "passes the first check through", request: get("/cached"), ...passed },
    { title: "answers the next as the upstream did", request: get("/cached"), ...ok, details: "health_check_cached" },
    { title: "is content with healthy hosts", request: get("/half"), ...ok, details: "health_check_ok_cluster_healthy" },
    { title: "fails for unhealthy hosts", request: get("/most"), ...failed, details: "health_check_failed_cluster_unhealthy" },
    { title: "fails for a cluster without hosts", request: get("/empty"), ...failed, details: "health_check_failed_cluster_empty" },
    {
      title: "fails for a cluster that is not there",
      request: get("/missing"),
      ...failed,
      details: "health_check_failed_no_cluster_found",
    },
    { title: "wants nothing of none", request: get("/nothing"), ...ok, details: "health_check_ok_cluster_healthy" },
    {
      title: "fails when told to",
      admin: "/healthcheck/fail",
      request: get("/health"),
      status: 503,
      flags: "LH",
      details: "health_check_failed",
      has: [checked, failing, "connection: close"],
    },
    {
      title: "does not pass through while failing",
      request: get("/through"),
      status: 503,
      flags: "LH",
      details: "health_check_failed",
      has: [checked],
    },
    {
      title: "does not use the cache while failing",
      request: get("/cached"),
      status: 503,
      flags: "LH",
      details: "health_check_failed",
      has: [checked],
    },
    {
      title: "warns on other requests while failing",
      request: get("/other"),
      status: 200,
      details: "via_upstream",
      has: [failing, "connection: close"],
    },
    { title: "recovers when told to", admin: "/healthcheck/ok", request: get("/health"), ...ok, lacks: [failing, "connection: close"] },
  ],
  stats: {
    "http.in.health_check.request_total": 12,
    "http.in.health_check.ok": 6,
    "http.in.health_check.failed": 6,
    "http.in.health_check.cached_response": 1,
    "http.in.health_check.failed_cluster_empty": 1,
    "http.in.health_check.failed_cluster_not_found": 1,
    "http.in.health_check.failed_cluster_unhealthy": 1,
    "http.in.downstream_rq_total": 16,
    "http.in.downstream_rq_completed": 2,
    "http.in.downstream_rq_2xx": 2,
    "http.in.downstream_rq_5xx": 0,
    "cluster.origin.upstream_rq_total": 4,
    "cluster.origin.upstream_rq_completed": 2,
  },
};
