// Certificates from files that rotate: a folder, swapped as Kubernetes swaps mounted Secrets; an SDS file; files a bootstrap names.
import assert from "node:assert/strict";
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { makeIntermediate, makeRoot, makeWorkload, pemOf, placeWorkload, temporaryFolder } from "../../support/identity/authorities.ts";
import { startPair, until, type MtlsPair } from "../../support/identity/mtls-pair.ts";

const authority = makeIntermediate(makeRoot(), "cluster1");
const issue = (account: string) => makeWorkload(authority, account);

const presents = (pair: MtlsPair, account: string): Promise<void> =>
  until(`${account} is presented`, async () => (await pair.ask()).body.includes(`/sa/${account}`), pair.client.log);

let swaps = 0;

/** A mounted Secret: files are links through `..data`, which is replaced by a rename. */
function swapMount(folder: string, account: string): void {
  const { chain, key, roots } = pemOf(issue(account));
  const data = `..2026_${swaps++}`;
  mkdirSync(join(folder, data), { recursive: true });
  for (const [name, text] of [
    ["cert-chain.pem", chain],
    ["key.pem", key],
    ["root-cert.pem", roots],
  ] as const) {
    writeFileSync(join(folder, data, name), text);
    try {
      symlinkSync(`..data/${name}`, join(folder, name));
    } catch {
      // There since the first time.
    }
  }
  symlinkSync(data, join(folder, "..data_tmp"));
  renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
}

suite("certificates from files", { timeout: 120_000 }, () => {
  test("are taken when Kubernetes swaps them, under load without a failed request", async (t) => {
    const folder = temporaryFolder(t);
    swapMount(folder, "first");
    const server = temporaryFolder(t);
    placeWorkload(server, issue("httpbin"));
    const pair = await startPair(t, {
      client: { origin: { kind: "files", folder } },
      server: { origin: { kind: "files", folder: server } },
    });
    await presents(pair, "first");
    const rotation = (async () => {
      for (const account of ["second", "third"]) {
        swapMount(folder, account);
        await presents(pair, account);
      }
    })();
    const { failures } = await pair.load(rotation);
    assert.deepEqual(failures, []);
  });

  test("that do not fit together are refused with one error, and the pair in use stays", async (t) => {
    const folder = temporaryFolder(t);
    placeWorkload(folder, issue("first"));
    const pair = await startPair(t, { client: { origin: { kind: "files", folder } }, server: { origin: { kind: "files", folder } } });
    const next = issue("second");
    writeFileSync(join(folder, "key.pem"), pemOf(next).key);
    await pair.client.saw(
      /workload certificate refused, the one in use stays.*the private key does not belong to certificate \S+cert-chain\.pem/,
    );
    assert.equal(await pair.client.proxy.reload(), false);
    assert.equal(pair.client.log().match(/workload certificate refused/g)?.length, 1);
    assert.match((await pair.ask()).body, /sa\/first/);
    writeFileSync(join(folder, "cert-chain.pem"), pemOf(next).chain);
    await presents(pair, "second");
  });

  test("that were taken away leave the pair in use", async (t) => {
    const folder = temporaryFolder(t);
    placeWorkload(folder, issue("first"));
    const pair = await startPair(t, { client: { origin: { kind: "files", folder } }, server: { origin: { kind: "files", folder } } });
    rmSync(join(folder, "key.pem"));
    await pair.client.saw(/key\.pem is missing/);
    assert.equal((await pair.ask()).status, 200);
  });

  test("of an SDS file with a watched directory are taken when that changes", async (t) => {
    const folder = temporaryFolder(t);
    const secrets = (): string => {
      const data = (name: string) => ({ filename: join(folder, name) });
      const secret = (name: string, content: object) => ({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        name,
        ...content,
      });
      return JSON.stringify({
        version_info: "0",
        resources: [
          secret("mine", { tls_certificate: { certificate_chain: data("cert-chain.pem"), private_key: data("key.pem") } }),
          secret("theirs", { validation_context: { trusted_ca: data("root-cert.pem") } }),
          secret("somebody's", { generic_secret: { secret: { inline_string: "not asked for" } } }),
        ],
      });
    };
    swapMount(folder, "first");
    writeFileSync(join(folder, "sds.json"), secrets());
    const sds_config = { path_config_source: { path: join(folder, "sds.json"), watched_directory: { path: folder } } };
    const common = {
      tls_certificate_sds_secret_configs: [{ name: "mine", sds_config }],
      validation_context_sds_secret_config: { name: "theirs", sds_config },
    };
    const pair = await startPair(t, { client: { origin: undefined, common }, server: { origin: undefined, common } });
    await presents(pair, "first");
    swapMount(folder, "second");
    await presents(pair, "second");
    writeFileSync(join(folder, "sds.json"), JSON.stringify({ resources: [] }));
    await pair.client.saw(/sds\.json.*has no secret named mine/);
    assert.equal((await pair.ask()).status, 200);
  });

  test("that a context names are taken together or not at all", async (t) => {
    const folder = temporaryFolder(t);
    placeWorkload(folder, issue("first"));
    const data = (name: string) => ({ filename: join(folder, name) });
    const common = {
      tls_certificates: [{ certificate_chain: data("cert-chain.pem"), private_key: data("key.pem") }],
      validation_context: { trusted_ca: data("root-cert.pem") },
    };
    const pair = await startPair(t, { client: { origin: undefined, common }, server: { origin: undefined, common } });
    await presents(pair, "first");
    const next = issue("second");
    writeFileSync(join(folder, "key.pem"), pemOf(next).key);
    await pair.client.saw(/configuration refused, the running one stays.*the private key does not belong to certificate of cluster next/);
    await presents(pair, "first");
    writeFileSync(join(folder, "cert-chain.pem"), pemOf(next).chain);
    await presents(pair, "second");
  });
});
