import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { runCli } from "../../../src/cli/program.ts";

interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function intercept(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Said> {
  const said = { out: "", err: "" };
  const edge = {
    out: (text: string) => void (said.out += text),
    err: (text: string) => void (said.err += text),
    environment,
    onSignal: () => () => undefined,
  };
  return { code: await runCli(["intercept", ...args], edge), ...said };
}

function folder(t: TestContext, files: Readonly<Record<string, string>>): string {
  const dir = mkdtempSync(join(tmpdir(), "isthmus-intercept-"));
  t.after(() => rmSync(dir, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
  }
  return dir;
}

const pod = (annotations: string, name = "a"): string =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, namespace: n, annotations: {${annotations}}}\nspec: {containers: [{name: c}]}\nstatus: {podIP: 10.0.0.1}\n`;
const excluded = "traffic.sidecar.istio.io/excludeOutboundPorts";

suite("isthmus intercept", () => {
  test("flags stand above annotations, and those above the environment", async (t) => {
    const dir = folder(t, { "pod.yaml": pod(`${excluded}: "6379"`) });
    const environment = { ISTIO_LOCAL_OUTBOUND_PORTS_EXCLUDE: "1", ISTIO_OUTBOUND_PORTS: "2" };
    const annotated = await intercept(["print", "--annotations", join(dir, "pod.yaml")], environment);
    assert.equal(annotated.code, 0, annotated.err);
    assert.match(annotated.out, /--dport 6379 -j RETURN/);
    assert.match(annotated.out, /-A ISTIO_OUTPUT -p tcp --dport 2 -j ISTIO_REDIRECT/);
    assert.match(annotated.out, /-A ISTIO_INBOUND -p tcp --dport 15020 -j RETURN/);
    assert.doesNotMatch(annotated.out, /--dport 1 /);
    const flagged = await intercept(["print", "--annotations", join(dir, "pod.yaml"), "-o", "7"], environment);
    assert.match(flagged.out, /--dport 7 -j RETURN/);
    assert.doesNotMatch(flagged.out, /6379/);
  });

  test("a workload's template and a List have a pod", async (t) => {
    const template = `{metadata: {annotations: {${excluded}: "6379"}}}`;
    const dir = folder(t, {
      "deployment.yaml": `kind: Deployment\nspec: {template: ${template}}\n---\nkind: Service\nspec: {ports: []}\n`,
      "cron.yaml": `kind: CronJob\nspec: {jobTemplate: {spec: {template: ${template}}}}\n`,
      "list.yaml": `kind: List\nitems: [{kind: Job, spec: {template: ${template}}}]\n`,
    });
    for (const file of ["deployment.yaml", "cron.yaml", "list.yaml"]) {
      assert.match((await intercept(["print", "--annotations", join(dir, file)])).out, /--dport 6379 -j RETURN/);
    }
  });

  test("the pod of a node of a mesh directory", async (t) => {
    const dir = folder(t, {
      "meshconfig.yaml": "defaultConfig: {proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true', CAPTURE_ALL_DNS: 'true'}}\n",
      "k8s/one.yaml": `${pod(`${excluded}: "6379"`)}---\n${pod("sidecar.istio.io/interceptionMode: NONE", "b")}`,
      "nodes.yaml":
        "nodes:\n- {name: here, id: sidecar~10.0.0.1~a.n~n.svc.cluster.local, metadata: {CLUSTER_ID: one, INTERCEPTION_MODE: TPROXY}}\n",
    });
    const named = await intercept(["print", "--mesh", dir, "--node", "here"]);
    assert.equal(named.code, 0, named.err);
    assert.match(named.out, /--dport 6379 -j RETURN/);
    assert.match(named.out, /-A ISTIO_OUTPUT_DNS -p udp --dport 53 -j REDIRECT --to-ports 15053/);
    assert.match(named.out, /-j TPROXY/);
    const none = await intercept(["print", "--mesh", dir, "--node", "sidecar~10.0.0.1~b.n~n.svc.cluster.local"]);
    assert.equal(none.code, 0, none.err);
    assert.equal(none.out, "# IPv4: iptables-restore --noflush\n");
    const absent = await intercept(["print", "--mesh", dir, "--node", "sidecar~10.0.0.1~c.n~n.svc.cluster.local"]);
    assert.equal(absent.code, 1);
    assert.match(absent.err, /^error: .* has no Pod c in namespace n\n$/);
  });

  for (const [title, files, args, message] of [
    ["no such file", {}, ["--annotations", "pod.yaml"], /pod\.yaml cannot be read/],
    ["no pod", { "pod.yaml": "kind: Service\n" }, ["--annotations", "pod.yaml"], /has 0 pods, expected one/],
    ["two pods", { "pod.yaml": `${pod("")}---\n${pod("")}` }, ["--annotations", "pod.yaml"], /has 2 pods, expected one/],
    ["no YAML", { "pod.yaml": "a: [" }, ["--annotations", "pod.yaml"], /pod\.yaml:1/],
    ["a number", { "pod.yaml": pod(`${excluded}: 6379`) }, ["--annotations", "pod.yaml"], /excludeOutboundPorts is no string/],
    [
      "a bad value",
      { "pod.yaml": pod(`${excluded}: "x"`) },
      ["--annotations", "pod.yaml"],
      /--istio-local-outbound-ports-exclude: "x" is no number/,
    ],
    ["a bad flag", {}, ["-i", "10.0.0.0/99"], /--istio-service-cidr: "10\.0\.0\.0\/99" is no range/],
  ] as const) {
    test(`one error: ${title}`, async (t) => {
      const dir = folder(t, files);
      const { code, out, err } = await intercept(["print", ...args.map((arg) => (arg.endsWith(".yaml") ? join(dir, arg) : arg))]);
      assert.equal(code, 1);
      assert.equal(out, "");
      assert.match(err, message);
      assert.equal(err.split("\n").length, 2, err);
    });
  }

  for (const args of [
    ["aply"],
    [],
    ["print", "--annotations", "a", "--mesh", "b"],
    ["print", "--force-iptables-binary", "x"],
    ["print", "--no-such"],
  ]) {
    test(`wrong usage: ${args.join(" ")}`, async () => assert.equal((await intercept(args)).code, 2));
  }

  test("--dry-run makes apply print, and its variable too", async () => {
    const printed = await intercept(["print", "-b", "80", "--ipv6", "off"]);
    assert.deepEqual(await intercept(["apply", "-n", "-b", "80", "--ipv6", "off"]), printed);
    assert.deepEqual(await intercept(["apply", "-b", "80", "--ipv6", "off"], { DRY_RUN: "true" }), printed);
  });
});
