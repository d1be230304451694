import assert from "node:assert/strict";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, suite, test } from "node:test";
import { parse } from "yaml";
import { copyMesh } from "../../../../src/cli/demo/mesh-copy.ts";

suite("the demo's copy of a mesh", () => {
  let folder = "";
  beforeEach(() => void (folder = fs.mkdtempSync(path.join(os.tmpdir(), "mesh-copy-"))));
  afterEach(() => fs.rmSync(folder, { recursive: true }));

  function writeSample(port: number): string {
    const sample = path.join(folder, "sample");
    fs.mkdirSync(path.join(sample, "k8s"), { recursive: true });
    fs.mkdirSync(path.join(sample, "istio"));
    fs.writeFileSync(path.join(sample, "meshconfig.yaml"), "trustDomain: cluster.local\n");
    fs.writeFileSync(
      path.join(sample, "k8s", "east.yaml"),
      `apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 127.0.0.1, ports: [{port: ${port}, targetPort: ${port}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop, labels: {app: web, topology.istio.io/network: n1, uid: "x${port}"}}
spec: {serviceAccountName: web}
status: {podIP: 127.0.0.1}
`,
    );
    fs.writeFileSync(path.join(sample, "istio", "gateway.yaml"), `port: ${port}\n`);
    return sample;
  }

  test("knows workloads and services and turns the access log on", async () => {
    const free = await freePort();
    const copy = await copyMesh(writeSample(free), path.join(folder, "copy"), { status: "%RESPONSE_CODE%" });
    assert.deepEqual([...copy.moved], []);
    assert.deepEqual(copy.services, [
      { name: "web", namespace: "shop", cluster: "east", clusterIp: "127.0.0.1", ports: [{ port: free, targetPort: free }] },
    ]);
    const [workload] = copy.workloads;
    assert.equal(`${workload?.cluster} ${workload?.network} ${workload?.namespace} ${workload?.serviceAccount}`, "east n1 shop web");
    const config = parse(fs.readFileSync(path.join(copy.folder, "meshconfig.yaml"), "utf8")) as Record<string, string>;
    assert.equal(config["trustDomain"], "cluster.local");
    assert.deepEqual(JSON.parse(config["accessLogFormat"] ?? ""), { status: "%RESPONSE_CODE%" });
  });

  test("gives a port that is taken another number in every file, and nothing else", async () => {
    const server = net.createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const taken = (server.address() as AddressInfo).port;
    try {
      const sample = writeSample(taken);
      const copy = await copyMesh(sample, path.join(folder, "copy"), {});
      const instead = copy.moved.get(taken) ?? 0;
      assert.ok(instead > taken);
      assert.deepEqual(copy.services[0]?.ports, [{ port: instead, targetPort: instead }]);
      assert.equal(fs.readFileSync(path.join(copy.folder, "istio", "gateway.yaml"), "utf8"), `port: ${instead}\n`);
      assert.equal(copy.workloads[0]?.labels["uid"], `x${taken}`);
      assert.equal(copy.workloads[0]?.ip, "127.0.0.1");
      assert.equal(fs.readFileSync(path.join(sample, "istio", "gateway.yaml"), "utf8"), `port: ${taken}\n`, "the sample stays as it is");
    } finally {
      server.close();
    }
  });
});

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
