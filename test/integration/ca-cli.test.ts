import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Command, CommanderError } from "commander";
import { registerCa } from "../../src/cli/ca.ts";

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function run(...args: readonly string[]): Promise<Ran> {
  let out = "";
  let err = "";
  const program = new Command("isthmus")
    .exitOverride()
    .configureOutput({ writeOut: (text) => (out += text), writeErr: (text) => (err += text) });
  registerCa(program);
  try {
    await program.parseAsync(["ca", ...args], { from: "user" });
    return { code: 0, out, err };
  } catch (error) {
    assert.ok(error instanceof CommanderError, String(error));
    return { code: error.exitCode, out, err };
  }
}

let directory = "";
const at = (...parts: readonly string[]): string => join(directory, ...parts);
const read = (...parts: readonly string[]): string => readFileSync(at(...parts), "utf8");

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "isthmus-ca-"));
  for (const args of [
    ["root", "--out", at("root")],
    ["intermediate", "--root", at("root"), "--cluster", "cluster1", "--out", at("cluster1")],
    ["workload", "--ca", at("cluster1"), "--identity", "spiffe://cluster.local/ns/default/sa/sleep", "--out", at("sleep")],
  ]) {
    const { code, err } = await run(...args);
    assert.deepEqual({ code, err }, { code: 0, err: "" });
  }
});
after(() => rmSync(directory, { recursive: true, force: true }));

test("files have Istio's names, keys are their owner's alone", () => {
  const modes = (name: string): Record<string, string> =>
    Object.fromEntries(readdirSync(at(name)).map((file) => [file, (statSync(at(name, file)).mode & 0o777).toString(8)]));
  const others = (0o644 & ~process.umask()).toString(8);
  assert.deepEqual(modes("root"), { "root-cert.pem": others, "root-key.pem": "600" });
  assert.deepEqual(modes("cluster1"), { "ca-cert.pem": others, "ca-key.pem": "600", "cert-chain.pem": others, "root-cert.pem": others });
  assert.deepEqual(modes("sleep"), { "cert-chain.pem": others, "key.pem": "600", "root-cert.pem": others });
});

test("chains hold what Istio's do", () => {
  assert.equal(read("cluster1", "cert-chain.pem"), read("cluster1", "ca-cert.pem") + read("root", "root-cert.pem"));
  assert.equal(read("cluster1", "root-cert.pem"), read("root", "root-cert.pem"));
  assert.ok(read("sleep", "cert-chain.pem").endsWith(read("cluster1", "ca-cert.pem")));
  const leaf = new X509Certificate(read("sleep", "cert-chain.pem"));
  const intermediate = new X509Certificate(read("cluster1", "ca-cert.pem"));
  assert.ok(leaf.checkIssued(intermediate) && leaf.verify(intermediate.publicKey));
  assert.equal(leaf.subjectAltName, "URI:spiffe://cluster.local/ns/default/sa/sleep");
});

test("openssl verifies the chain in strict mode", (context) => {
  if (spawnSync("openssl", ["version"]).error) {
    context.skip("openssl is not on PATH");
    return;
  }
  const args = [
    "verify",
    "-x509_strict",
    "-CAfile",
    at("root", "root-cert.pem"),
    "-untrusted",
    at("cluster1", "ca-cert.pem"),
    at("sleep", "cert-chain.pem"),
  ];
  const { status, stderr } = spawnSync("openssl", args, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
});

test("nothing is overwritten without --force, and nothing is written when one file is in the way", async () => {
  const key = read("root", "root-key.pem");
  const refused = await run("root", "--out", at("root"));
  assert.equal(refused.code, 1);
  assert.match(refused.err, /root-key\.pem is there already; --force replaces it/);
  assert.equal(read("root", "root-key.pem"), key);

  await run("root", "--out", at("half"));
  rmSync(at("half", "root-key.pem"));
  assert.equal((await run("root", "--out", at("half"))).code, 1);
  assert.deepEqual(readdirSync(at("half")), ["root-cert.pem"]);

  writeFileSync(at("half", "root-key.pem"), "old", { mode: 0o644 });
  assert.equal((await run("root", "--out", at("half"), "--force")).code, 0);
  assert.equal(statSync(at("half", "root-key.pem")).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(at("half")).toSorted(), ["root-cert.pem", "root-key.pem"]);
});

test("a workload is named by its parts, lives as long as asked, and says so as JSON", async () => {
  const args = [
    "--namespace",
    "prod",
    "--service-account",
    "api",
    "--trust-domain",
    "mesh.example",
    "--dns",
    "a.example",
    "--dns",
    "b.example",
  ];
  const { code, out } = await run("workload", "--ca", at("cluster1"), ...args, "--ttl", "30m", "--out", at("api"), "--json");
  assert.equal(code, 0);
  const said = JSON.parse(out) as {
    files: string[];
    certificate: { uris: string[]; dnsNames: string[]; notBefore: string; notAfter: string };
  };
  assert.deepEqual(said.files, [at("api", "key.pem"), at("api", "cert-chain.pem"), at("api", "root-cert.pem")]);
  assert.deepEqual(said.certificate.uris, ["spiffe://mesh.example/ns/prod/sa/api"]);
  assert.deepEqual(said.certificate.dnsNames, ["a.example", "b.example"]);
  assert.equal(Date.parse(said.certificate.notAfter) - Date.parse(said.certificate.notBefore), 32 * 60_000);
});

test("a workload may come straight from a root", async () => {
  assert.equal((await run("workload", "--ca", at("root"), "--identity", "spiffe://a/ns/b/sa/c", "--out", at("direct"))).code, 0);
  assert.equal((await run("verify", at("direct"))).code, 0);
});

test("a life cut by the signer's is a warning when it was asked for", async () => {
  const { code, err } = await run("intermediate", "--root", at("root"), "--cluster", "c", "--ttl", "9999d", "--out", at("long"));
  assert.equal(code, 0);
  assert.match(err, /^warning: the life was cut to/);
});

test("show prints every certificate of a file", async () => {
  const text = await run("show", at("sleep", "cert-chain.pem"));
  assert.equal(text.code, 0);
  assert.match(text.out, /spiffe:\/\/cluster\.local\/ns\/default\/sa\/sleep[^]*O=Istio, CN=Intermediate CA, L=cluster1/);
  const json = JSON.parse((await run("show", at("cluster1", "cert-chain.pem"), "--json")).out) as { subject: string }[];
  assert.deepEqual(
    json.map(({ subject }) => subject),
    ["O=Istio, CN=Intermediate CA, L=cluster1", "O=Istio, CN=Root CA"],
  );
});

test("verify tells a good chain from a bad one by its exit code and a reason", async () => {
  for (const name of ["root", "cluster1", "sleep"]) assert.equal((await run("verify", at(name))).code, 0, name);
  assert.equal((await run("verify", at("sleep", "cert-chain.pem"), "--root", at("root", "root-cert.pem"))).code, 0);
  assert.equal((await run("verify", at("sleep"), "--identity", "spiffe://cluster.local/ns/default/sa/sleep")).code, 0);
  await run("root", "--out", at("other"));
  const strangers = await run("verify", at("sleep"), "--root", at("other", "root-cert.pem"));
  assert.equal(strangers.code, 1);
  assert.match(strangers.err, /certificate 2: no certificate of the chain or the roots issued it/);
  const wrong = await run("verify", at("sleep"), "--identity", "spiffe://cluster.local/ns/default/sa/httpbin", "--json");
  assert.equal(wrong.code, 1);
  assert.equal((JSON.parse(wrong.out) as { ok: boolean }).ok, false);
});

test("a file that is not what it should be is refused by its name, and no secret is told", async () => {
  await run("root", "--out", at("broken"));
  const secret = "c2VjcmV0IGtleSBtYXRlcmlhbA==";
  writeFileSync(at("broken", "root-key.pem"), `-----BEGIN PRIVATE KEY-----\n${secret}\n-----END PRIVATE KEY-----\n`);
  const refused = await run("workload", "--ca", at("broken"), "--identity", "spiffe://a/ns/b/sa/c", "--out", at("never"));
  assert.equal(refused.code, 1);
  assert.match(refused.err, /root-key\.pem: not an unencrypted PEM private key/);
  assert.ok(!refused.err.includes(secret.slice(0, 8)));

  writeFileSync(at("broken", "root-key.pem"), read("other", "root-key.pem"));
  const mixed = await run("workload", "--ca", at("broken"), "--identity", "spiffe://a/ns/b/sa/c", "--out", at("never"));
  assert.match(mixed.err, /the private key belongs to another certificate/);
  assert.match((await run("show", at("nowhere.pem"))).err, /nowhere\.pem: cannot be read \(ENOENT\)/);
  assert.match((await run("show", at("root", "root-key.pem"))).err, /there is no PEM certificate/);
});

test("wrong usage is told apart from wrong things", async () => {
  const ca = ["workload", "--ca", at("cluster1"), "--out", at("never")];
  assert.equal((await run(...ca)).code, 2);
  assert.equal((await run(...ca, "--namespace", "default")).code, 2);
  assert.equal((await run(...ca, "--identity", "spiffe://cluster.local")).code, 2);
  for (const ttl of ["5", "0h", "-1h", "1y", ""]) {
    assert.match((await run(...ca, "--ttl", ttl)).err, /a number and d, h, m or s was expected/, ttl);
  }
});

test("no output of any command has a private key in it", async () => {
  const outputs = await Promise.all([
    run("root", "--out", at("quiet"), "--json"),
    run("show", at("sleep", "cert-chain.pem")),
    run("verify", at("sleep")),
    run("workload", "--ca", at("cluster1"), "--identity", "spiffe://a/ns/b/sa/c", "--out", at("quiet-workload")),
  ]);
  const keys = ["root", "cluster1", "sleep", "quiet", "quiet-workload"].map((name) => {
    const file = readdirSync(at(name)).find((candidate) => candidate.endsWith("key.pem"))!;
    return read(name, file).split("\n")[1]!;
  });
  for (const { out, err } of outputs) for (const key of keys) assert.ok(!out.includes(key) && !err.includes(key));
});
