// Cases of the fault filter: faults that requests ask for by header.
import { filter, type FilterCase, type FilterTable, get, post, route } from "./case.ts";

const share = (numerator: number, denominator = "HUNDRED"): object => ({ numerator, denominator });
const asks = (header: string, value: string): string => `x-envoy-fault-${header}: ${value}`;
const passes = (title: string, request: string, flags = "-"): FilterCase => ({
  title,
  request,
  status: 200,
  details: "via_upstream",
  flags,
});
const aborts = (title: string, status: number, request: string, flags = "FI"): FilterCase => ({
  title,
  request,
  status,
  details: "fault_filter_abort",
  flags,
});
const grpc = "content-type: application/grpc";
const table = (name: string, fields: object, cases: readonly FilterCase[], stats: FilterTable["stats"]): FilterTable => ({
  name: `fault: ${name}`,
  filters: [filter("fault", "fault.v3.HTTPFault", fields)],
  routes: [route("/")],
  cases,
  stats: Object.fromEntries(Object.entries(stats).map(([stat, value]) => [`http.in.fault.${stat}`, value])),
});

const aborting = table(
  "aborts by header",
  { abort: { header_abort: {}, percentage: share(100) } },
  [
    passes("nothing is asked for", get("/")),
    ...["199", "600", "x", "418x", ""].map((value) => passes(`no status: ${value}`, get("/", asks("abort-request", value)))),
    ...[200, 418, 599].map((status) => aborts(`a status: ${status}`, status, get("/", asks("abort-request", `${status}`)))),
    aborts("a sign", 418, get("/", asks("abort-request", "+418"))),
    passes("a share of none", get("/", asks("abort-request", "503"), asks("abort-request-percentage", "0"))),
    ...["100", "200", "x"].map((value) =>
      aborts(`a share of ${value}`, 503, get("/", asks("abort-request", "503"), asks("abort-request-percentage", value))),
    ),
    aborts("gRPC's, told to another client", 200, get("/", asks("abort-grpc-request", "5"))),
    {
      ...aborts("gRPC's", 200, post("/", "", asks("abort-grpc-request", "5"), grpc)),
      has: ["grpc-status: 5", "grpc-message: fault filter abort"],
    },
    {
      ...aborts("both, of which HTTP's counts", 200, post("/", "", asks("abort-request", "503"), asks("abort-grpc-request", "5"), grpc)),
      has: ["grpc-status: 14"],
    },
    passes("no status of gRPC's", get("/", asks("abort-grpc-request", "x"))),
  ],
  { aborts_injected: 10, active_faults: 0, delays_injected: 0 },
);

const nobody = table(
  "a header asks for no more than the configuration has",
  { abort: { header_abort: {} }, delay: { header_delay: {} } },
  [
    passes("abort", get("/", asks("abort-request", "503"), asks("abort-request-percentage", "100"))),
    passes("delay", get("/", asks("delay-request", "100"), asks("delay-request-percentage", "100"))),
  ],
  { aborts_injected: 0, delays_injected: 0 },
);

const inMillions = table(
  "a header's share has the configuration's denominator",
  { abort: { header_abort: {}, percentage: share(1_000_000, "MILLION") } },
  [aborts("all", 503, get("/", asks("abort-request", "503"), asks("abort-request-percentage", "1000000")))],
  { aborts_injected: 1 },
);

const delaying = table(
  "delays by header",
  { delay: { header_delay: {}, percentage: share(100) } },
  [
    passes("nothing is asked for", get("/")),
    passes("a delay", get("/", asks("delay-request", "20")), "DI"),
    ...["0", "x", "-1"].map((value) => passes(`no delay: ${value}`, get("/", asks("delay-request", value)))),
    passes("a share of none", get("/", asks("delay-request", "20"), asks("delay-request-percentage", "0"))),
  ],
  { delays_injected: 1, active_faults: 0 },
);

const throttling = table(
  "rates by header",
  { response_rate_limit: { header_limit: {}, percentage: share(100) } },
  [
    passes("nothing is asked for", get("/")),
    // 1 KiB a second is 51 bytes every 50 ms.
    { ...passes("a slow response", post("/", "x".repeat(100), asks("throughput-response", "1"))), has: ["x".repeat(100)] },
    ...["0", "x"].map((value) => passes(`no rate: ${value}`, get("/", asks("throughput-response", value)))),
    passes("a share of none", get("/", asks("throughput-response", "1"), asks("throughput-response-percentage", "0"))),
  ],
  { response_rl_injected: 1, active_faults: 0 },
);

const none = table(
  "as many as there may be",
  { max_active_faults: 0, response_rate_limit: { fixed_limit: { limit_kbps: 1 }, percentage: share(100) } },
  [passes("none at all", get("/"))],
  { response_rl_injected: 0, faults_overflow: 1 },
);

const chosen = table(
  "of some requests",
  {
    downstream_nodes: ["n1"],
    headers: [{ name: "x-h", string_match: { exact: "1" } }],
    abort: { http_status: 418, percentage: share(100) },
  },
  [
    passes("neither", get("/")),
    passes("the node", get("/", "x-envoy-downstream-service-node: n1")),
    passes("the header", get("/", "x-h: 1")),
    aborts("both", 418, get("/", "x-envoy-downstream-service-node: n1", "x-h: 1")),
  ],
  { aborts_injected: 1 },
);

/** Aborts, delays and rates. */
export const faultCases: readonly FilterTable[] = [aborting, nobody, inMillions, delaying, throttling, none, chosen];
