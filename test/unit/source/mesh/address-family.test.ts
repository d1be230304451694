// Families of a proxy's own addresses, and what follows from them. The meshes dual-stack and mixed-families hold the whole picture.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { chooseAddresses, familyOf, inboundBindConfig, lookupFamily } from "../../../../src/source/mesh/address-family.ts";
import { defaultMeshConfig } from "../../../../src/source/mesh/mesh-config.ts";
import { describeProxy } from "../../../../src/source/mesh/proxy.ts";
import { sidecar } from "./mesh-folder.ts";

const dualMesh = { ...defaultMeshConfig, proxyMetadata: { ISTIO_DUAL_STACK: "true" } };
const four = "10.0.0.1";
const six = "fd00::1";
const service = ["10.96.0.1", "fd00:96::1"];

suite("address family", () => {
  for (const [ips, mesh, expected] of [
    [four, "single", { wildcard: "0.0.0.0", dual: false, given: ["10.96.0.1"], lookup: "V4_ONLY", source: "127.0.0.6", extra: false }],
    [six, "single", { wildcard: "::", dual: false, given: ["fd00:96::1"], lookup: "V6_ONLY", source: "::6", extra: false }],
    [
      `${four},${six}`,
      "single",
      { wildcard: "0.0.0.0", dual: false, given: ["10.96.0.1"], lookup: "V4_ONLY", source: "127.0.0.6", extra: false },
    ],
    [four, "dual", { wildcard: "0.0.0.0", dual: false, given: ["10.96.0.1"], lookup: "V4_ONLY", source: "127.0.0.6", extra: false }],
    [`${six},${four}`, "dual", { wildcard: "0.0.0.0", dual: true, given: service, lookup: "ALL", source: "127.0.0.6", extra: true }],
  ] as const) {
    test(`a proxy at ${ips} in a ${mesh} stack mesh`, () => {
      const family = familyOf(describeProxy(sidecar("a", four, { INSTANCE_IPS: ips })), mesh === "dual" ? dualMesh : defaultMeshConfig);
      const bind = inboundBindConfig(family, false);
      assert.deepEqual(
        {
          wildcard: family.wildcard,
          dual: family.dual,
          given: chooseAddresses(family, service),
          lookup: lookupFamily(family),
          source: (bind["source_address"] as { address: string }).address,
          extra: bind["extra_source_addresses"] !== undefined,
        },
        expected,
      );
    });
  }

  test("a service without an address of the proxy's family is given with the one it has", () => {
    const family = familyOf(describeProxy(sidecar("a", four)), defaultMeshConfig);
    assert.deepEqual(chooseAddresses(family, ["fd00:96::1"]), ["fd00:96::1"]);
    assert.deepEqual(chooseAddresses(family, []), []);
  });
});
