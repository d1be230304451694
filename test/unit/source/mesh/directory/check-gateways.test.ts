// Certificates that Gateways name and that are not there, each at the field that names it.
import assert from "node:assert/strict";
import { join } from "node:path";
import { suite, test } from "node:test";
import { loadMeshDirectory } from "../../../../../src/source/mesh/directory/load.ts";
import { formatIssue } from "../../../../../src/source/yaml-document.ts";
import { meshFolder } from "../mesh-folder.ts";

const gateway = (tls: string): string =>
  `apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec:\n  selector: {app: edge}\n  servers:\n  - port: {number: 443, name: p, protocol: HTTPS}\n    hosts: ["*"]\n    tls:\n      ${tls.replaceAll("; ", "\n      ")}\n`;
const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: edge, labels: {app: edge}}\nspec: {containers: []}\n";
const secret = (name: string, namespace: string, keys: string): string =>
  `apiVersion: v1\nkind: Secret\nmetadata: {name: ${name}, namespace: ${namespace}}\nstringData: {${keys}}\n`;
const certificate = "tls.crt: chain, tls.key: key";

suite("gateway credentials", () => {
  const cases: readonly (readonly [title: string, tls: string, cluster: string, expected: readonly RegExp[]])[] = [
    [
      "no Secret at all",
      "mode: SIMPLE; credentialName: a",
      pod,
      [
        /g\.yaml:11:7 error spec\.servers\[0\]\.tls\.credentialName: names Secret a, which is not there in namespace edge of cluster c1: no handshake/,
      ],
    ],
    ["a Secret beside the gateway", "mode: SIMPLE; credentialName: a", `${pod}---\n${secret("a", "edge", certificate)}`, []],
    [
      "a Secret beside the Gateway's object",
      "mode: SIMPLE; credentialName: a",
      `${pod}---\n${secret("a", "default", certificate)}`,
      [/which is not there in namespace edge/],
    ],
    ["a Secret somewhere, and no gateway known", "mode: SIMPLE; credentialName: a", secret("a", "any", certificate), []],
    ["no Secret, and no gateway known", "mode: SIMPLE; credentialName: a", secret("b", "any", certificate), [/not there in any namespace/]],
    [
      "a Secret without key",
      "mode: SIMPLE; credentialName: a",
      `${pod}---\n${secret("a", "edge", "tls.crt: chain")}`,
      [/has no certificate and key/],
    ],
    [
      "a Secret without authorities",
      "mode: MUTUAL; credentialName: a",
      `${pod}---\n${secret("a", "edge", certificate)}`,
      [/credentialName: .*has no authorities/],
    ],
    [
      "authorities of their own",
      "mode: MUTUAL; credentialName: a",
      `${pod}---\n${secret("a", "edge", certificate)}---\n${secret("a-cacert", "edge", "cacert: ca")}`,
      [],
    ],
    [
      "authorities by another name that is missing",
      "mode: MUTUAL; credentialName: a; caCertCredentialName: b",
      `${pod}---\n${secret("a", "edge", `${certificate}, ca.crt: ca`)}`,
      [/g\.yaml:12:7 error .*caCertCredentialName: names Secret b/],
    ],
    [
      "one of several",
      "mode: SIMPLE; credentialNames: [a, b]",
      `${pod}---\n${secret("a", "edge", certificate)}`,
      [/g\.yaml:11:\d+ error spec\.servers\[0\]\.tls\.credentialNames\[1\]: names Secret b/],
    ],
    ["files", "mode: SIMPLE; serverCertificate: /c; privateKey: /k", pod, []],
    ["the mesh's own", "mode: ISTIO_MUTUAL", pod, []],
  ];
  for (const [title, tls, cluster, expected] of cases) {
    test(title, async (t) => {
      const dir = await meshFolder(t, { "istio/g.yaml": gateway(tls), "k8s/c1.yaml": cluster });
      const { issues, missing } = await loadMeshDirectory(dir);
      assert.deepEqual(issues, []);
      const lines = missing.map(formatIssue);
      assert.equal(lines.length, expected.length, lines.join("\n"));
      expected.forEach((pattern, index) => assert.match(lines[index] ?? "", pattern));
    });
  }

  test("no message quotes what a Secret holds", async (t) => {
    const keys = ["tls.crt: 12345678", "tls.key: [s3cret]", "cert: {a: s3cret}"];
    const bad = (field: string): string => `apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n${field}\n`;
    const texts = [
      ...keys.map((each) => bad(`data: {${each}}`)),
      bad("data: {tls.key: 's3cret!', tls.crt: 's3cret?'}"),
      bad("data: s3cret"),
      bad("stringData: [s3cret]"),
    ];
    for (const text of texts) {
      const dir = await meshFolder(t, { "k8s/c1.yaml": text });
      const lines = (await loadMeshDirectory(dir)).issues.map((issue) => formatIssue(issue).replace(join(dir, ""), ""));
      assert.equal(
        lines.some((line) => / error /.test(line)),
        true,
        text,
      );
      for (const line of lines) assert.doesNotMatch(line, /s3cret|12345678/);
    }
  });
});
