import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { flagsFromAnnotations } from "../../../src/intercept/annotations.ts";
import type { GivenFlags } from "../../../src/intercept/flags.ts";

const injected: GivenFlags = {
  "istio-inbound-interception-mode": "REDIRECT",
  "istio-service-cidr": "*",
  "istio-inbound-ports": "*",
  "proxy-uid": "1337",
  "istio-local-exclude-ports": "15090,15021,,15020",
};
const traffic = "traffic.sidecar.istio.io";

suite("annotations", () => {
  for (const [title, annotations, expected] of [
    ["none: all traffic but the proxy's own ports", {}, {}],
    [
      "inbound",
      { [`${traffic}/includeInboundPorts`]: "80", [`${traffic}/excludeInboundPorts`]: "22, 23" },
      { "istio-inbound-ports": "80", "istio-local-exclude-ports": "15090,15021,22,23,15020" },
    ],
    ["no inbound at all", { [`${traffic}/includeInboundPorts`]: "" }, { "istio-inbound-ports": "" }],
    ["the port of health", { "status.sidecar.istio.io/port": "0" }, { "istio-local-exclude-ports": "15090,15021," }],
    [
      "outbound",
      {
        [`${traffic}/includeOutboundIPRanges`]: "10.0.0.0/8",
        [`${traffic}/excludeOutboundIPRanges`]: "10.1.0.0/16",
        [`${traffic}/includeOutboundPorts`]: "1",
        [`${traffic}/excludeOutboundPorts`]: "2",
      },
      {
        "istio-service-cidr": "10.0.0.0/8",
        "istio-service-exclude-cidr": "10.1.0.0/16",
        "istio-outbound-ports": "1",
        "istio-local-outbound-ports-exclude": "2",
      },
    ],
    [
      "interfaces",
      { [`${traffic}/kubevirtInterfaces`]: "a", [`${traffic}/excludeInterfaces`]: "b" },
      { "kube-virt-interfaces": "a", "istio-exclude-interfaces": "b" },
    ],
    [
      "the newer name of virtual interfaces stands above",
      { [`${traffic}/kubevirtInterfaces`]: "a", "istio.io/reroute-virtual-interfaces": "b" },
      { "kube-virt-interfaces": "b" },
    ],
    ["mode", { "sidecar.istio.io/interceptionMode": "TPROXY" }, { "istio-inbound-interception-mode": "TPROXY" }],
  ] as const) {
    test(title, () => {
      assert.deepEqual(flagsFromAnnotations(annotations), { ok: true, value: { ...injected, ...expected }, issues: [] });
    });
  }

  test("an unknown annotation of traffic is warned of, others are others' business", () => {
    const { issues } = flagsFromAnnotations({ [`${traffic}/excludeInboundPort`]: "80", "prometheus.io/port": "1" });
    assert.deepEqual(
      issues.map(({ severity, path }) => [severity, ...path]),
      [["warning", `${traffic}/excludeInboundPort`]],
    );
  });
});
