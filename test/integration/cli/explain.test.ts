// `isthmus explain` as a user calls it: what is printed where, exit codes, JSON, and the same asked of a running proxy.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Explanation } from "../../../src/explain/explanation.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function run(args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile("scripts/isthmus", ["explain", ...args], { cwd: root, timeout: 60_000 }, (error, out, err) => {
      resolve({ code: error === null ? 0 : typeof error.code === "number" ? error.code : -1, out, err });
    });
  });
}

const mesh = ["--mesh", "config/mesh/crossing", "--node", "sleep"];

suite("isthmus explain", () => {
  test("a request that crosses the clusters is explained hop by hop, exit code 0", async () => {
    const { code, out, err } = await run([...mesh, "http://httpbin:8000/headers"]);
    assert.equal(code, 0, err);
    assert.match(
      out,
      /DNS +httpbin is 127\.96\.2\.80\n +- Service default\/httpbin in cluster2 \(config\/mesh\/crossing\/k8s\/cluster2\.yaml:\d+\)/,
    );
    assert.match(out, /at istio-eastwestgateway-2\.istio-system in cluster2/);
    assert.match(out, /^ok: sent to 127\.99\.0\.2:15443 /m);
    // eslint-disable-next-line no-control-regex
    assert.doesNotMatch(out, /\u001b/, "no colour where there is no terminal");
  });

  test("JSON has the steps, the warnings and the verdict", async () => {
    const { code, out } = await run([...mesh, "GET", "httpbin:8000/headers", "--json"]);
    assert.equal(code, 0);
    const explanation = JSON.parse(out) as Explanation;
    assert.deepEqual(Object.keys(explanation), ["question", "steps", "warnings", "verdict"]);
    assert.deepEqual(Object.keys(explanation.steps[0] ?? {}), ["kind", "at", "answer", "failed", "reasons", "data"]);
    assert.equal(explanation.steps[0]?.reasons[0]?.place?.file, "config/mesh/crossing/k8s/cluster2.yaml");
    assert.deepEqual({ ...explanation.verdict, text: "" }, { sent: true, flags: "-", details: "-", text: "" });
  });

  test("what would fail has exit code 1 and the words of the access log", async () => {
    const { code, out } = await run([
      "--mesh",
      "config/mesh/crossing",
      "--node",
      "eastwest-c2",
      "--sni",
      "httpbin.example",
      "--alpn",
      "istio",
    ]);
    assert.equal(code, 1);
    assert.match(out, /^the access log says: NR malformed_sni$/m);
  });

  for (const [title, args, complaint] of [
    ["neither a mesh nor a bootstrap", ["http://a/"], /give either --config FILE or --mesh DIR/],
    ["no question", mesh, /nothing is asked/],
    ["too many words", [...mesh, "GET", "a", "b"], /expected \[METHOD\] URL/],
    ["no port", [...mesh, "a:x"], /is no port/],
  ] as const) {
    test(`${title}: wrong usage, exit code 2`, async () => {
      const { code, err } = await run(args);
      assert.equal(code, 2);
      assert.match(err, complaint);
    });
  }

  test("a node that is nobody, and a bootstrap that is not there: exit code 1, said on standard error", async () => {
    const nobody = await run(["--mesh", "config/mesh/crossing", "--node", "nobody", "http://a/"]);
    assert.equal(nobody.code, 1);
    assert.match(nobody.err, /neither a node id nor in nodes\.yaml/);
    const nowhere = await run(["-c", "config/nowhere.yaml", "http://a/"]);
    assert.equal(nowhere.code, 1);
    assert.match(nowhere.err, /config\/nowhere\.yaml:1:1 error cannot read the file/);
  });
});
