// `isthmus translate` as a user calls it: which node, what is printed where, and the exit code.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { registerTranslate } from "../../../src/cli/translate.ts";
import type { HostLookup } from "../../../src/upstream/discovery/host-lookup.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const mesh = join(here, "two-networks", "mesh");

interface Outcome {
  readonly code: number | undefined;
  readonly out: string;
  readonly complaints: string;
}

async function run(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  lookup?: HostLookup,
): Promise<Outcome> {
  const outcome = { code: undefined as number | undefined, out: "", complaints: "" };
  const program = new Command();
  registerTranslate(program, {
    env,
    write: (text) => (outcome.out += text),
    complain: (text) => (outcome.complaints += text),
    exit: (code) => (outcome.code = code),
    ...(lookup === undefined ? {} : { lookup }),
  });
  await program.parseAsync(["node", "isthmus", "translate", ...args]);
  return outcome;
}

const expected: unknown = JSON.parse(readFileSync(join(here, "two-networks", "client.out.json"), "utf8"));
const id = "sidecar~10.10.0.9~client.shop~shop.svc.cluster.local";

suite("isthmus translate", () => {
  test("names the node by its entry in nodes.yaml, by a file, by flags or by the environment, with one result", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "isthmus-node-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const file = join(folder, "node.json");
    const metadata = { CLUSTER_ID: "east", NETWORK: "east", DNS_CAPTURE: "true" };
    writeFileSync(file, JSON.stringify({ id, metadata }));
    const byMeta = { ISTIO_META_CLUSTER_ID: "east", ISTIO_META_NETWORK: "east", ISTIO_META_DNS_CAPTURE: "true" };
    const ways: readonly (readonly [readonly string[], Readonly<Record<string, string>>])[] = [
      [["--node", "client"], {}],
      [["--node-file", file], {}],
      [["--node", id, "--cluster", "east", "--network", "east"], { ISTIO_META_DNS_CAPTURE: "true" }],
      [[], { ...byMeta, POD_NAME: "client", POD_NAMESPACE: "shop", INSTANCE_IP: "10.10.0.9" }],
    ];
    for (const [args, env] of ways) {
      const outcome = await run(["--mesh", mesh, ...args], env);
      assert.equal(outcome.code, 0, outcome.complaints);
      assert.deepEqual(JSON.parse(outcome.out), expected, args.join(" "));
    }
  });

  for (const [title, args, complaint] of [
    ["no node", ["--mesh", mesh], /no node is named/],
    ["an unknown node", ["--mesh", mesh, "--node", "nobody"], /neither a node id nor in nodes\.yaml/],
    ["a node file that is not there", ["--mesh", mesh, "--node-file", "/nowhere.json"], /\/nowhere\.json: cannot be read/],
    ["a mesh that is not there", ["--mesh", "/nowhere", "--node", id], /cannot be read as a directory/],
  ] as const) {
    test(`${title} is said on standard error, exit code 1`, async () => {
      const outcome = await run(args);
      assert.equal(outcome.code, 1);
      assert.match(outcome.complaints, complaint);
    });
  }

  test("a gateway given by host name is warned about, or looked up when asked", async () => {
    const named = ["--mesh", join(here, "gateway-names", "mesh"), "--node", "client"];
    const lookup = (name: string): Promise<readonly { readonly address: string; readonly ttlSeconds: number }[]> =>
      name === "gateway.invalid" ? Promise.resolve([{ address: "192.0.2.77", ttlSeconds: 60 }]) : Promise.reject(new Error("ENOTFOUND"));
    const offline = await run(named, {}, lookup);
    assert.equal(offline.code, 0);
    assert.match(offline.complaints, /networks\.yaml:1:1 warning networks\.named\.gateways: gateway gateway\.invalid has no address: host names are not resolved/);
    assert.match(offline.complaints, /four\.yaml:\d+:\d+ warning status\.loadBalancer\.ingress: gateway balancer\.invalid has no address/);
    assert.doesNotMatch(offline.out, /192\.0\.2\.77/);
    const resolved = await run([...named, "--resolve-gateways"], {}, lookup);
    assert.match(resolved.out, /192\.0\.2\.77/);
    assert.doesNotMatch(resolved.complaints, /gateway\.invalid/);
    assert.match(resolved.complaints, /gateway only\.invalid has no address: ENOTFOUND/);
  });
});
