// Certificates from an SDS server over a Unix socket: the protocol on a real socket, rotation under load, outages.
import assert from "node:assert/strict";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite, test } from "node:test";
import { makeIntermediate, makeRoot, makeWorkload, pemOf, temporaryFolder } from "../../support/identity/authorities.ts";
import { startEnd, startPair, until } from "../../support/identity/mtls-pair.ts";
import { certificateSecret, rootsSecret, startSdsServer } from "../../support/identity/sds-server.ts";

const authority = makeIntermediate(makeRoot(), "cluster1");
const material = (account: string) => pemOf(makeWorkload(authority, account));

suite("an SDS server", { timeout: 120_000 }, () => {
  test("gives the workload's certificate and roots, and is told what was accepted", async (t) => {
    const sds = await startSdsServer(t);
    const { chain, key, roots } = material("sleep");
    const versions = [sds.push(certificateSecret(chain, key)), sds.push(rootsSecret(roots))];
    const pair = await startPair(t, {
      client: { origin: { kind: "sds", target: sds.target } },
      server: { origin: { kind: "sds", target: sds.target } },
    });
    const answer = await pair.ask();
    assert.equal(answer.status, 200);
    assert.match(answer.body, /URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/sleep/);
    const [first] = sds.requests;
    assert.equal(first?.type_url, "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret");
    assert.equal(first.version_info ?? "", "");
    for (const version of versions) {
      const ack = await sds.answer(version!);
      assert.equal(ack.error_detail, undefined);
      assert.match(ack.response_nonce, /^n\d+$/);
      assert.equal(ack.resource_names.length, 1);
    }
  });

  test("may name files, which are read again when they change, also one by one", async (t) => {
    const sds = await startSdsServer(t);
    const folder = temporaryFolder(t);
    const write = async (name: string, text: string): Promise<void> => {
      await writeFile(join(folder, `${name}.new`), text);
      await rename(join(folder, `${name}.new`), join(folder, name));
    };
    const first = material("first");
    for (const part of ["chain", "key", "roots"] as const) await write(part, first[part]);
    const named = (name: string): object => ({ filename: join(folder, name), watched_directory: { path: folder } });
    sds.push({ name: "default", tls_certificate: { certificate_chain: named("chain"), private_key: named("key") } });
    sds.push({ name: "ROOTCA", validation_context: { trusted_ca: named("roots") } });
    const end = { origin: { kind: "sds", target: sds.target } } as const;
    const pair = await startPair(t, { client: end, server: end });
    assert.match((await pair.ask()).body, /sa\/first/);
    const second = material("second");
    await write("chain", second.chain);
    // The key of another chain is no secret: the pair in use stays, and is said to.
    await Promise.all([pair.client, pair.server].map((each) => each.saw(/files of an SDS secret refused.*private key does not belong/)));
    assert.match((await pair.ask()).body, /sa\/first/);
    await write("key", second.key);
    await until("second in use", async () => (await pair.ask()).body.includes("sa/second"));
  });

  test("rotates certificates under load without a failed request", async (t) => {
    const sds = await startSdsServer(t);
    const { chain, key, roots } = material("sleep");
    sds.push(certificateSecret(chain, key));
    sds.push(rootsSecret(roots));
    const end = { origin: { kind: "sds", target: sds.target } } as const;
    const pair = await startPair(t, { client: end, server: end });
    const rotation = (async () => {
      for (let i = 0; i < 5; i++) {
        const next = material(`sleep-${i}`);
        const version = sds.push(certificateSecret(next.chain, next.key));
        await Promise.all([pair.client, pair.server].map((each) => each.saw(new RegExp(`SDS secret accepted.*version=${version}\\b`))));
        await until(`sleep-${i} in use`, async () => (await pair.ask()).body.includes(`sleep-${i}`));
      }
    })();
    const { failures } = await pair.load(rotation);
    assert.deepEqual(failures, []);
  });

  const strangers = material("other");
  const refused: readonly (readonly [string, (chain: string, key: string) => Readonly<Record<string, unknown>>, RegExp])[] = [
    ["a key of another certificate", (chain) => certificateSecret(chain, strangers.key), /private key does not belong/],
    ["a chain that is none", (_, key) => certificateSecret("nothing", key), /expected PEM with a CERTIFICATE block/],
    [
      "a key that is none",
      (chain) => certificateSecret(chain, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
      /private key .* cannot be read/,
    ],
    [
      "a provider of keys",
      (chain) => ({
        name: "default",
        tls_certificate: { certificate_chain: { inline_string: chain }, private_key_provider: { provider_name: "hsm" } },
      }),
      /private key providers/,
    ],
    [
      "a secret of another kind",
      () => ({ name: "default", generic_secret: { secret: { inline_string: "s" } } }),
      /only certificates and validation contexts/,
    ],
  ];
  for (const [what, make, why] of refused) {
    test(`is told of ${what}, and the certificate in use stays`, async (t) => {
      const sds = await startSdsServer(t);
      const { chain, key, roots } = material("sleep");
      const good = sds.push(certificateSecret(chain, key));
      sds.push(rootsSecret(roots));
      const end = { origin: { kind: "sds", target: sds.target } } as const;
      const pair = await startPair(t, { client: end, server: end });
      assert.equal((await pair.ask()).status, 200);
      sds.push(make(chain, key));
      await until("a NACK", () => sds.requests.some(({ error_detail }) => error_detail !== undefined));
      const nack = sds.requests.find(({ error_detail }) => error_detail !== undefined);
      assert.match(nack!.error_detail!.message, why);
      assert.equal(nack!.error_detail!.code, 3);
      assert.equal(nack!.version_info, good);
      await pair.client.saw(/SDS secret refused, what was there before stays/);
      assert.equal((await pair.ask()).status, 200);
      for (const { error_detail } of sds.requests) assert.ok(!(error_detail?.message ?? "").includes(key.split("\n")[1]!));
    });
  }

  test("may go away and come back: the certificate in use stays, and a new one is taken", async (t) => {
    const sds = await startSdsServer(t);
    const { chain, key, roots } = material("sleep");
    sds.push(certificateSecret(chain, key));
    sds.push(rootsSecret(roots));
    const end = { origin: { kind: "sds", target: sds.target } } as const;
    const pair = await startPair(t, { client: end, server: end });
    sds.stop();
    await pair.client.saw(/SDS stream ended, the secret in use stays/);
    assert.equal((await pair.ask()).status, 200);
    const next = material("renewed");
    sds.push(certificateSecret(next.chain, next.key));
    await sds.start();
    await until("the new certificate", async () => (await pair.ask()).body.includes("renewed"));
  });

  test("that is not there yet is waited for: handshakes are refused and the proxy is not ready", async (t) => {
    const target = `unix:${temporaryFolder(t)}/none`;
    const end = await startEnd(t, "server", 9, { origin: { kind: "sds", target } });
    assert.equal(end.proxy.state(), "INITIALIZING");
    assert.match(end.log(), /secrets are missing.*SDS server unix:\S+ gives no secret/);
  });

  test("that a bootstrap names by its cluster gives the secrets of its contexts", async (t) => {
    const sds = await startSdsServer(t);
    const { chain, key, roots } = material("named");
    sds.push(certificateSecret(chain, key, "mine"));
    sds.push(rootsSecret(roots, "theirs"));
    const sds_config = {
      resource_api_version: "V3",
      api_config_source: { api_type: "GRPC", transport_api_version: "V3", grpc_services: [{ envoy_grpc: { cluster_name: "sds-grpc" } }] },
    };
    const end = {
      origin: undefined,
      common: {
        tls_certificate_sds_secret_configs: [{ name: "mine", sds_config }],
        validation_context_sds_secret_config: { name: "theirs", sds_config },
      },
      clusters: [
        {
          name: "sds-grpc",
          type: "STATIC",
          load_assignment: {
            cluster_name: "sds-grpc",
            endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: sds.target.slice("unix:".length) } } } }] }],
          },
        },
      ],
    };
    const pair = await startPair(t, { client: end, server: end });
    assert.match((await pair.ask()).body, /sa\/named/);
  });
});
