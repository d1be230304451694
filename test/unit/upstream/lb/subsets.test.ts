// Which hosts a metadata match means.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { decodeCluster } from "../../../../src/envoy/cluster/cluster-decoder.ts";
import { decodeLbSubset, type LbSubset } from "../../../../src/envoy/cluster/lb-subset.ts";
import { ClusterManager } from "../../../../src/upstream/cluster-manager.ts";
import { subsetChoices } from "../../../../src/upstream/lb/subsets.ts";
import { assignment, cluster, endpoint, group, lbContext, seededRandom, setting, unchanged } from "../../../support/cluster-models.ts";
import { manualClock } from "../../../support/manual-clock.ts";
import { recordingStats } from "../../../support/recording-stats.ts";
import { recordingLogger } from "../../../support/tls-models.ts";
import { accepted, any, issuesOf, staticCluster } from "../../envoy/decoding.ts";

const host = (
  name: string,
  lb: object,
): { readonly name: string; readonly metadata: { readonly "envoy.lb": Readonly<Record<string, unknown>> } } => ({
  name,
  metadata: { "envoy.lb": { ...lb } },
});
const hosts = [
  host("a", { version: "1", stage: "prod" }),
  host("b", { version: "1", stage: "dev" }),
  host("c", { version: "2", stage: "prod", zones: ["x", "y"] }),
];
const selectors = [{ keys: ["version", "stage"] }, { keys: ["stage"] }];

const roundRobin = {
  policies: [
    { typed_extension_config: { name: "rr", typed_config: any("envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin") } },
  ],
};

const chosen = (config: LbSubset, match: Readonly<Record<string, unknown>>): string =>
  subsetChoices(config, hosts, match)
    .map((choice) => choice.hosts.map(({ name }) => name).join(""))
    .join(" ");

suite("subsets", () => {
  const cases: readonly (readonly [string, object, Readonly<Record<string, unknown>>, string])[] = [
    ["keys of a selector choose their hosts", { subset_selectors: selectors }, { version: "1", stage: "prod" }, "a"],
    ["values are compared as they are", { subset_selectors: selectors }, { version: 1, stage: "prod" }, ""],
    ["keys that no selector has fall back", { subset_selectors: selectors, fallback_policy: "ANY_ENDPOINT" }, { version: "1" }, "abc"],
    ["by default to nobody", { subset_selectors: selectors }, { version: "1" }, ""],
    ["no match at all falls back", { subset_selectors: selectors }, {}, ""],
    [
      "to the default subset",
      { subset_selectors: selectors, fallback_policy: "DEFAULT_SUBSET", default_subset: { stage: "prod" } },
      { stage: "qa" },
      "ac",
    ],
    [
      "a selector has a fallback of its own",
      { subset_selectors: [{ keys: ["stage"], fallback_policy: "ANY_ENDPOINT" }] },
      { stage: "qa" },
      "abc",
    ],
    [
      "which may be nobody",
      { subset_selectors: [{ keys: ["stage"], fallback_policy: "NO_FALLBACK" }], fallback_policy: "ANY_ENDPOINT" },
      { stage: "qa" },
      "",
    ],
    [
      "or fewer keys",
      {
        subset_selectors: [
          { keys: ["version", "stage"], fallback_policy: "KEYS_SUBSET", fallback_keys_subset: ["stage"] },
          { keys: ["stage"] },
        ],
      },
      { version: "9", stage: "prod" },
      "ac",
    ],
    ["one host is a subset", { subset_selectors: [{ keys: ["stage"], single_host_per_subset: true }] }, { stage: "prod" }, "a"],
    ["a list is any of its elements with list_as_any", { subset_selectors: [{ keys: ["zones"] }], list_as_any: true }, { zones: "y" }, "c"],
    ["and itself without", { subset_selectors: [{ keys: ["zones"] }] }, { zones: ["x", "y"] }, "c"],
    ["without a fallback also in panic", { subset_selectors: selectors, panic_mode_any: true }, { stage: "qa" }, ""],
    [
      "in panic any host is better than an empty default subset",
      { subset_selectors: selectors, fallback_policy: "DEFAULT_SUBSET", default_subset: { stage: "no" }, panic_mode_any: true },
      { stage: "qa" },
      "abc",
    ],
    [
      "and comes after a default subset that may turn out to be unfit",
      { subset_selectors: selectors, fallback_policy: "DEFAULT_SUBSET", default_subset: { stage: "dev" }, panic_mode_any: true },
      { stage: "qa" },
      "b abc",
    ],
    [
      "a fallback list is tried entry by entry, beside the rest of the match",
      { subset_selectors: selectors, metadata_fallback_policy: "FALLBACK_LIST" },
      { version: "1", fallback_list: [{ stage: "dev" }, { stage: "qa" }, { stage: "prod" }] },
      "b a",
    ],
    [
      "its entries replace what the match says",
      { subset_selectors: selectors, metadata_fallback_policy: "FALLBACK_LIST" },
      { stage: "qa", fallback_list: [{ stage: "dev" }] },
      "b",
    ],
    [
      "an empty list leaves the rest of the match",
      { subset_selectors: selectors, metadata_fallback_policy: "FALLBACK_LIST" },
      { stage: "dev", fallback_list: [] },
      "b",
    ],
    ["without FALLBACK_LIST the list is a key like others", { subset_selectors: selectors }, { stage: "dev", fallback_list: [] }, ""],
  ];
  for (const [title, config, match, expected] of cases) {
    test(title, () => {
      assert.equal(chosen(accepted(decodeLbSubset, config), match), expected);
    });
  }

  test("redundant keys are left out where they are allowed", () => {
    const config = accepted(decodeLbSubset, { subset_selectors: selectors });
    const match = { stage: "dev", rubbish: "x" };
    assert.deepEqual([chosen(config, match), chosen({ ...config, allowRedundantKeys: true }, match)], ["", "b"]);
  });

  test("a cluster picks within the subset, and among new hosts after a change", () => {
    const manager = new ClusterManager({
      clock: manualClock(),
      stats: recordingStats(),
      random: seededRandom(3),
      logger: recordingLogger(),
      createClientTransport: () => ({ ready: false, handshake: () => ({ cancel: () => {} }) }),
    });
    const at = (address: string, version: string) => endpoint(address, { metadata: { "envoy.lb": { version } } });
    const lbSubset = accepted(decodeLbSubset, { subset_selectors: [{ keys: ["version"] }] });
    const metadataMatch = { version: "2" };
    const picked = (match: Readonly<Record<string, unknown>>) => manager.get("c")?.pick(lbContext({ metadataMatch: match }))?.addressText;
    manager.apply(
      setting(cluster("c", { type: "EDS", lbSubset })),
      setting(assignment("c", [group([at("10.0.0.1:80", "1"), at("10.0.0.2:80", "2")])])),
    );
    assert.deepEqual([picked(metadataMatch), picked(metadataMatch), picked({})], ["10.0.0.2:80", "10.0.0.2:80", undefined]);
    manager.apply(unchanged, setting(assignment("c", [group([at("10.0.0.3:80", "2")])])));
    assert.equal(picked(metadataMatch), "10.0.0.3:80");
  });

  const refused: readonly (readonly [string, object, RegExp])[] = [
    ["a fallback to all of the keys", { keys: ["a"], fallback_policy: "KEYS_SUBSET", fallback_keys_subset: ["a"] }, /some, not all/],
    ["a fallback to no key", { keys: ["a"], fallback_policy: "KEYS_SUBSET" }, /required with/],
    ["single hosts by two keys", { keys: ["a", "b"], single_host_per_subset: true }, /exactly one key/],
  ];
  const refusedClusters: readonly (readonly [string, object, RegExp])[] = [
    [
      "weights of localities that nobody weighs",
      { lb_subset_config: { locality_weight_aware: true } },
      /needs locality_weighted_lb_config/,
    ],
    ["subsets beside load_balancing_policy", { lb_subset_config: {}, load_balancing_policy: roundRobin }, /has a policy for subsets/],
    [
      "zones beside load_balancing_policy",
      { common_lb_config: { zone_aware_lb_config: {} }, load_balancing_policy: roundRobin },
      /its own settings for localities/,
    ],
  ];
  for (const [title, fields, message] of refusedClusters) {
    test(`refuses ${title}`, () => assert.match(issuesOf(decodeCluster, staticCluster("a", fields)).join(), message));
  }

  for (const [title, selector, message] of refused) {
    test(`refuses ${title}`, () => {
      const json = staticCluster("a", { lb_subset_config: { subset_selectors: [selector] } });
      assert.match(JSON.stringify(issuesOf(decodeCluster, json)), message);
    });
  }
});
