// Each NAME.in.yaml becomes NAME.out.yaml (UPDATE_GOLDEN=1 rewrites), whose objects are what Kubernetes' published schemas ask for.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { suite, test } from "node:test";
import { parseAllDocuments } from "yaml";
import { injectManifests } from "../../../src/inject/inject.ts";
import type { InjectOptions } from "../../../src/inject/options.ts";
import { schemaProblems } from "../../support/kubernetes-schema.ts";

const options: InjectOptions = {
  image: "isthmus:0.1.0",
  imagePullPolicy: "IfNotPresent",
  cluster: "cluster1",
  network: "network1",
  namespace: "default",
  meshConfigMap: "isthmus-mesh",
  clusters: ["cluster1", "cluster2"],
  certsSecret: undefined,
  caAddress: undefined,
  dnsCapture: true,
};

const folder = new URL(".", import.meta.url);
const names = readdirSync(folder).flatMap((file) => (file.endsWith(".in.yaml") ? [file.slice(0, -".in.yaml".length)] : []));
const read = (file: string): string => readFileSync(new URL(file, folder), "utf8");

function inject(text: string): string {
  const { text: injected, outcomes } = injectManifests(text, "file", options);
  assert.ok(injected !== undefined, outcomes.map(({ text: line }) => line).join("\n"));
  return injected;
}

suite("golden injections", () => {
  for (const name of names) {
    const input = read(`${name}.in.yaml`);
    const output = inject(input);

    test(`${name} is as recorded`, () => {
      if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(new URL(`${name}.out.yaml`, folder), output);
      assert.equal(output, read(`${name}.out.yaml`));
    });

    test(`${name} injected again stays as it is`, () => assert.equal(inject(output), output));

    test(`${name} keeps every comment`, () => {
      for (const [comment] of input.matchAll(/#.*$/gm)) assert.ok(output.includes(comment.trimEnd()), comment);
    });

    test(`${name} fits Kubernetes' schemas`, async () => {
      for (const document of parseAllDocuments(output)) assert.deepEqual(await schemaProblems(document.toJS()), []);
    });
  }
});
