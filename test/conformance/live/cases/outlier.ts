// Outlier detection: which hosts are out after what, for how long, and what is counted.
import { type LiveCase, raw, request } from "../case.ts";

/** One request: what the hosts answer, and the key that chooses the host. */
type Ask = readonly [answer: string, key?: string];

const every = "2,3,4,5";
/** All hosts answer so. */
const all = (status: number | string): string => `at/${every}/${status}`;
const good: Ask = ["at/0/200", "a"];
const times = (count: number, ask: Ask): readonly Ask[] => Array.from({ length: count }, () => ask);

/** Requests and pauses (ms) on one connection; Envoy's main thread takes a moment to eject a host. */
function od(what: string, cluster: string, asked: readonly (Ask | number)[], headers: readonly string[] = []): LiveCase {
  const steps = cluster.startsWith("rate") || cluster.startsWith("percentage") ? asked : asked.flatMap((step) => [step, 30]);
  const asks = steps.filter((step) => typeof step !== "number").length;
  return raw(
    `outlier: ${what}`,
    steps.map((step) =>
      typeof step === "number" ? step : request("GET", `/${cluster}/${step[0]}`, [`x-key: ${step[1] ?? "a"}`, ...headers]),
    ),
    {
      listener: "outlier",
      replies: asks,
      records: asks,
      stats: `^cluster\\.od-${cluster}\\.(?:outlier_detection\\.|membership_|lb_healthy_panic$)`,
    },
  );
}

// As many keys as it takes to meet each of four hosts.
const keys = Array.from({ length: 16 }, (_, index) => `k${index}`);
const everybody = (answer: string): readonly Ask[] => keys.map((key) => [answer, key]);

export const outlierCases: readonly LiveCase[] = [
  od("three 5xx in a row", "row", [...times(3, [all(500)]), good]),
  od("a row that a success breaks", "row-broken", [...times(2, [all(500)]), good, ...times(2, [all(503)]), good]),
  od("the defaults: five in a row, and 10 percent of four hosts", "defaults", [...times(6, [all(503)]), good]),
  od("gateway failures", "gateway", [[all(502)], [all(504)], good]),
  od("gateway failures that a 500 breaks", "gateway-500", [[all(502)], [all(500)], [all(503)], good]),
  od("gateway failures that are not enforced", "gateway-unenforced", [...times(5, [all(502)]), good]),
  od("gateway failures and 5xx complete at once", "gateway-and-row", [...times(2, [all(503)]), good]),
  od("5xx that are not enforced", "unenforced", [...times(5, [all(500)]), good]),
  od("half of the hosts at most", "half", everybody(all(500))),
  od("none of the hosts", "none", [...times(2, [all(500)]), good]),
  od("one host whatever the percentage", "one", everybody(all(500))),
  od("all hosts: panic", "all", [...everybody(all(500)), good]),
  od("all hosts without panic", "all-strict", [...everybody(all(500)), good]),
  od("connections that close count as 5xx", "closes", [...times(2, [all("close")]), good]),
  od("connections that close, origins split", "closes-split", [...times(2, [all("close")]), good]),
  od("requests that time out count as 5xx", "hangs", [...times(2, [all("hang")]).flatMap((ask) => [ask, 600]), good]),
  od("requests that time out, origins split", "hangs-split", [...times(2, [all("hang")]).flatMap((ask) => [ask, 600]), good]),
  od("5xx, origins split", "row-split", [...times(2, [all(500)]), good]),
  od("a host that refuses", "dead", times(3, good)),
  od("a host that refuses, origins split", "dead-local", times(3, good)),
  od("a host that refuses, not enforced", "dead-unenforced", times(3, good)),
  od(
    "gRPC statuses count as the HTTP statuses they are like",
    "grpc",
    [[all("grpc14")], [all("grpc13")], [all("grpc5")], good],
    ["content-type: application/grpc", "te: trailers"],
  ),
  od("back after the base ejection time", "back", [[all(500)], good, 900, good]),
  od("the second ejection is no longer than the longest", "grows-to", [[all(500)], 900, [all(500)], good, 900, good]),
  od("an ejection is shorter again after a good time", "decays", [[all(500)], 1200, [all(500)], good, 900, good]),
  od("success rate", "rate", [...everybody("at/2/500"), 2200, ...everybody("at/0/200")]),
  od("success rate that is not enforced", "rate-unenforced", [...everybody("at/2/500"), 2200, good]),
  od("success rate of too few hosts", "rate-few", [...everybody("at/2/500"), 2200, good]),
  od("success rate, origins split", "rate-local", [...everybody("at/2/close"), 2200, good]),
  od("failure percentage", "percentage", [...everybody("at/2,3/500"), 2200, ...everybody("at/0/200")]),
  od("failure percentage that is not enforced", "percentage-unenforced", [...everybody("at/2,3/500"), 2200, good]),
  od("failure percentage, origins split", "percentage-local", [...everybody("at/2,3/close"), 2200, good]),
  od("an active check ends an ejection", "checked", [300, [all(500)], 500, good]),
  od("an active check that ends no ejection", "checked-kept", [300, [all(500)], 500, good]),
];
