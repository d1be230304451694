// What config/kubernetes has: objects that fit Kubernetes' schemas, flags that exist, and a template that gives what `inject` gives.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { suite, test } from "node:test";
import { parse, parseAllDocuments } from "yaml";
import { injectManifests } from "../../../src/inject/inject.ts";
import { renderGoTemplate } from "../../support/go-template.ts";
import { schemaProblems } from "../../support/kubernetes-schema.ts";

const config = (file: string): string => readFileSync(new URL(`../../../config/kubernetes/${file}`, import.meta.url), "utf8");

interface Container {
  readonly name: string;
  readonly args: readonly string[];
  readonly [field: string]: unknown;
}

interface PodSpec {
  readonly initContainers: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes: readonly unknown[];
}

function isthmus(args: readonly string[]): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  return spawnSync(fileURLToPath(new URL("../../../scripts/isthmus", import.meta.url)), args, { encoding: "utf8", timeout: 60_000 });
}

suite("config/kubernetes", () => {
  for (const file of ["east-west-gateway.yaml", "rbac.yaml"]) {
    test(`${file} fits Kubernetes' schemas`, async () => {
      const documents = parseAllDocuments(config(file));
      assert.ok(documents.length > 2);
      for (const document of documents) assert.deepEqual(await schemaProblems(document.toJS()), []);
    });
  }

  test("the gateway's and the sidecar's arguments are options of isthmus run", () => {
    const gateway = parseAllDocuments(config("east-west-gateway.yaml")).map((document) => document.toJS() as unknown)[1];
    const { template } = (gateway as { readonly spec: { readonly template: { readonly spec: PodSpec } } }).spec;
    const help = isthmus(["run", "--help"]).stdout;
    const args = [...template.spec.containers.flatMap((container) => container.args), ...fromTemplate({}).initContainers[1]!.args];
    const flags = args.filter((arg) => arg.startsWith("--")).map((arg) => arg.split("=", 1)[0] ?? "");
    assert.ok(flags.length > 10);
    assert.deepEqual(
      flags.filter((flag) => !new RegExp(`^  (?:-\\w, )?${flag} `, "m").test(help)),
      [],
    );
  });

  for (const annotations of [
    {},
    { "sidecar.istio.io/interceptionMode": "TPROXY", "sidecar.istio.io/proxyCPU": "1" },
    { "sidecar.istio.io/interceptionMode": "NONE" },
    { "traffic.sidecar.istio.io/excludeOutboundPorts": "3306", "traffic.sidecar.istio.io/excludeInboundPorts": "9000" },
  ]) {
    test(`istiod's template gives what isthmus inject gives, with ${JSON.stringify(annotations)}`, () => {
      const rendered = fromTemplate(annotations);
      const injected = byHand(annotations);
      assert.deepEqual(rendered.volumes, injected.volumes);
      assert.deepEqual(rendered.initContainers.map(comparable), injected.initContainers.map(comparable));
      const rules = [rendered, injected].map(({ initContainers }) =>
        initContainers.filter(({ name }) => name === "istio-init").map(({ args }) => printed(args)),
      );
      assert.deepEqual(rules[0], rules[1]);
    });
  }

  test("the template is accepted in a pod by Kubernetes' schema", async () => {
    const spec = { ...fromTemplate({}), containers: [{ name: "app" }] };
    assert.deepEqual(await schemaProblems({ apiVersion: "v1", kind: "Pod", metadata: { name: "app" }, spec }), []);
  });
});

// The rules that an init container would set.
function printed(args: readonly string[]): string {
  const { status, stdout, stderr } = isthmus(args.map((arg) => (arg === "apply" ? "print" : arg)));
  assert.equal(status, 0, stderr);
  assert.match(stdout, /ISTIO_OUTPUT/);
  return stdout;
}

// Rules are compared as such; the owner is what istiod sets by other means.
function comparable({ args, env, ...container }: Container): unknown {
  const variables = (env ?? []) as readonly { readonly name: string }[];
  return {
    ...container,
    ...(container.name === "istio-init" ? {} : { args }),
    env: variables.filter(({ name }) => name !== "ISTIO_META_OWNER"),
  };
}

function fromTemplate(annotations: Readonly<Record<string, string>>): PodSpec {
  const { sidecarInjectorWebhook } = parse(config("injection-template.yaml")) as {
    readonly sidecarInjectorWebhook: { readonly templates: { readonly isthmus: string } };
  };
  const proxy = { includeIPRanges: "*", excludeIPRanges: "", excludeInboundPorts: "", includeOutboundPorts: "", excludeOutboundPorts: "" };
  const data = {
    ObjectMeta: annotations,
    DeploymentMeta: { Name: "app" },
    ProxyConfig: { InterceptionMode: "REDIRECT" },
    Spec: { ServiceAccountName: "app" },
    Values: { global: { network: "network1", multiCluster: { clusterName: "cluster1" }, proxy } },
  };
  const functions = {
    annotation: (meta: unknown, name: unknown, otherwise: unknown) => (meta as Readonly<Record<string, string>>)[String(name)] ?? otherwise,
    valueOrDefault: (value: unknown, otherwise: unknown) => value || otherwise,
  };
  return (parse(renderGoTemplate(sidecarInjectorWebhook.templates.isthmus, data, functions)) as { readonly spec: PodSpec }).spec;
}

function byHand(annotations: Readonly<Record<string, string>>): PodSpec {
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "app", annotations: { ...annotations, "prometheus.io/scrape": "false" } },
    spec: { serviceAccountName: "app", containers: [{ name: "app", image: "app:1" }] },
  };
  const { text } = injectManifests(JSON.stringify(pod), "pod", {
    image: "isthmus:0.1.0",
    imagePullPolicy: undefined,
    cluster: "cluster1",
    network: "network1",
    namespace: "default",
    meshConfigMap: "isthmus-mesh",
    clusters: ["cluster1"],
    certsSecret: undefined,
    caAddress: undefined,
    dnsCapture: true,
  });
  return (JSON.parse(text ?? "") as { readonly spec: PodSpec }).spec;
}
