import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gatewayCertificateIssues } from "../../../src/proxy/certificates.ts";
import { loadMeshDirectory } from "../../../src/source/mesh/directory/load.ts";
import { makeCa } from "../../support/certs.ts";

test("the Secrets that Gateways name are judged where they are written, others not", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "isthmus-certificates-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const ca = makeCa();
  const good = ca.issue();
  const late = ca.issue({ notBeforeMs: -7_200_000, notAfterMs: -3_600_000 });
  const secret = (name: string, chain: string, key: string): string =>
    JSON.stringify({
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name, namespace: "gw" },
      stringData: { "tls.crt": chain, "tls.key": key },
    });
  const server = (port: number, credentialName: string): unknown => ({
    port: { number: port, name: `https-${port}`, protocol: "HTTPS" },
    hosts: ["*"],
    tls: { mode: "SIMPLE", credentialName },
  });
  const gateway = {
    apiVersion: "networking.istio.io/v1",
    kind: "Gateway",
    metadata: { name: "g", namespace: "gw" },
    spec: { selector: { app: "g" }, servers: [server(1, "good"), server(2, "late"), server(3, "kubernetes://gw/mixed")] },
  };
  const secrets = [
    secret("good", good.chain, good.key),
    secret("late", late.chain, late.key),
    secret("mixed", good.chain, late.key),
    secret("unused", late.chain, late.key),
  ];
  for (const name of ["k8s", "istio"]) mkdirSync(join(folder, name));
  writeFileSync(join(folder, "meshconfig.yaml"), "trustDomain: cluster.local\n");
  writeFileSync(join(folder, "k8s", "one.yaml"), secrets.join("\n---\n"));
  writeFileSync(join(folder, "istio", "g.yaml"), JSON.stringify(gateway));
  const { mesh } = await loadMeshDirectory(folder);
  const found = gatewayCertificateIssues(mesh, Date.now()).map(({ severity, line, message }) => `${severity} ${line} ${message}`);
  assert.match(found[0] ?? "", /^error 3 certificate of Secret gw\/late expired on /);
  assert.match(found[1] ?? "", /^error 5 the private key does not belong to certificate of Secret gw\/mixed/);
  assert.equal(found.length, 2);
});
