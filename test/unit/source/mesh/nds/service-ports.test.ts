import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { translate, translateWithPorts } from "../../../../../src/source/mesh/translate.ts";
import { loadFiles, sidecar, workload } from "../mesh-folder.ts";

const pod = (name: string, ip: string, spec: string): string => `---
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: default, labels: {app: web}}
spec: {serviceAccountName: web${spec}}
status: {podIP: ${ip}}
`;

const headless = `---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {clusterIP: None, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}, {name: probe, port: 81, protocol: UDP}]}
${pod("web-0", "10.0.0.1", ", hostname: web-0, subdomain: web")}${pod("web-x", "10.0.0.2", "")}${pod("web-y", "10.0.0.3", "")}---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web, namespace: default, labels: {kubernetes.io/service-name: web}}
ports: [{name: http, port: 8080}]
endpoints:
- {addresses: [10.0.0.1], targetRef: {kind: Pod, name: web-0, namespace: default}}
- {addresses: [10.0.0.2], targetRef: {kind: Pod, name: web-x, namespace: default}}
- {addresses: [10.0.0.3], conditions: {ready: false}, targetRef: {kind: Pod, name: web-y, namespace: default}}
`;

const entries = `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: mongo, namespace: default}
spec: {hosts: [mongo.example, "*.wild.example"], addresses: [10.5.0.1], ports: [{number: 27018, name: mongo, protocol: MONGO}], resolution: STATIC, endpoints: [{address: 2.2.2.2}]}
`;

suite("ports of mesh hosts", () => {
  test("are those of services and entries; a headless service's are where its ready pods are, each under its name", async (t) => {
    const { mesh } = await loadFiles(t, {
      "k8s/c1.yaml": workload({ name: "a", vip: "10.96.0.1", podIp: "10.0.0.9" }) + headless,
      "istio/entries.yaml": entries,
    });
    const { servicePorts } = translateWithPorts(mesh, sidecar("x", "10.9.0.1"));
    assert.deepEqual(servicePorts, {
      "a.default.svc.cluster.local": [{ name: "http", protocol: "tcp", port: 8000 }],
      "web.default.svc.cluster.local": [
        {
          name: "http",
          protocol: "tcp",
          port: 80,
          endpoints: [
            { host: "web-0.web.default.svc.cluster.local", address: "10.0.0.1", port: 8080 },
            { host: "10-0-0-2.web.default.svc.cluster.local", address: "10.0.0.2", port: 8080 },
          ],
        },
        { name: "probe", protocol: "udp", port: 81, endpoints: [] },
      ],
      "mongo.example": [{ name: "mongo", protocol: "tcp", port: 27018 }],
    });
  });

  test("are no part of what is translated, and not there where DNS is not captured", async (t) => {
    const { mesh } = await loadFiles(t, { "k8s/c1.yaml": headless });
    const node = sidecar("x", "10.9.0.1");
    assert.deepEqual(translateWithPorts(mesh, node).translation, translate(mesh, node));
    assert.doesNotMatch(JSON.stringify(translate(mesh, node).nds), /8080|10-0-0-2/);
    assert.deepEqual(translateWithPorts(mesh, sidecar("x", "10.9.0.1", { DNS_CAPTURE: "false" })).servicePorts, {});
  });

  test("another cluster's pods are told where they can be called; a name that is in both is the own pod's", async (t) => {
    const other = headless.replaceAll("10.0.0.1", "10.2.0.1").replaceAll("10.0.0.2", "10.2.0.2");
    const { mesh } = await loadFiles(t, {
      "k8s/c1.yaml": headless,
      "k8s/c2.yaml": other,
      "networks.yaml": "networks: {n1: {endpoints: [{fromRegistry: c1}, {fromRegistry: c2}]}, n2: {endpoints: [{fromRegistry: c3}]}}",
      "k8s/c3.yaml": headless.replaceAll("10.0.0.", "10.3.0."),
    });
    const { servicePorts } = translateWithPorts(mesh, sidecar("x", "10.9.0.1", { NETWORK: "n1" }));
    assert.deepEqual(servicePorts["web.default.svc.cluster.local"]?.[0]?.endpoints, [
      { host: "web-0.web.default.svc.cluster.local", address: "10.0.0.1", port: 8080 },
      { host: "10-0-0-2.web.default.svc.cluster.local", address: "10.0.0.2", port: 8080 },
      { host: "10-2-0-2.web.default.svc.cluster.local", address: "10.2.0.2", port: 8080 },
    ]);
  });
});
