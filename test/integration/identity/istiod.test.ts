// Certificates from istiod's certificate service: a signing request with the service account's token over TLS.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { status } from "@grpc/grpc-js";
import type { WorkloadOrigin } from "../../../src/proxy/workload-origin.ts";
import { createIstiodIssuer } from "../../../src/identity/workload/istiod-issuer.ts";
import { makeCa } from "../../support/certs.ts";
import { makeIntermediate, makeRoot, temporaryFolder } from "../../support/identity/authorities.ts";
import { startCertificateService, type Behaviour, type CertificateService } from "../../support/identity/certificate-service.ts";
import { startEnd, startPair } from "../../support/identity/mtls-pair.ts";

const identity = { trustDomain: "cluster.local", namespace: "default", serviceAccount: "sleep" };

interface Files {
  readonly rootFile: string;
  readonly tokenFile: string;
}

function place(t: TestContext, root: string, token: string): Files {
  const folder = temporaryFolder(t);
  const files = { rootFile: join(folder, "root-cert.pem"), tokenFile: join(folder, "istio-token") };
  writeFileSync(files.rootFile, root);
  writeFileSync(files.tokenFile, token);
  return files;
}

// Renewed early in a long life, which leaves a slow machine time.
const early = { ttlMs: 60_000, graceRatio: 58 / 60 };

const originOf = (
  { port }: CertificateService,
  files: Files,
  { ttlMs, graceRatio } = { ttlMs: 3_600_000, graceRatio: 0.5 },
): WorkloadOrigin => ({
  ...files,
  kind: "istiod",
  address: { address: "127.0.0.1", port },
  ttlMs,
  renewal: { graceRatio, graceJitter: 0 },
  identity,
});

const authority = makeIntermediate(makeRoot(), "cluster1");

suite("istiod's certificate service", { timeout: 120_000 }, () => {
  test("issues for the token, again in time with the token of that moment, and no request fails", async (t) => {
    const service = await startCertificateService(t, authority, { token: "one", account: "sleep" });
    const files = place(t, service.root, "one\n");
    const origin = originOf(service, files, early);
    const pair = await startPair(t, { client: { origin }, server: { origin } });
    const { failures } = await pair.load(Promise.all([pair.client, pair.server].map((end) => end.saw(/workload certificate issued/, 3))));
    assert.deepEqual(failures, []);
    assert.match((await pair.ask()).body, /URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/sleep/);
    const [first] = service.asked;
    assert.deepEqual([first?.token, first?.validitySeconds], ["one", 60]);
    // Each time another key.
    assert.equal(new Set(service.asked.map(({ csr }) => csr)).size, service.asked.length);
    writeFileSync(files.tokenFile, "two");
    await pair.client.saw(
      /cannot be renewed, the one in use stays.*does not accept this workload, check the token \S+istio-token \(UNAUTHENTICATED: request authenticate failure\)/,
    );
    assert.equal((await pair.ask()).status, 200);
    assert.equal(service.asked.at(-1)?.token, "two");
  });

  test("that refuses leaves a new proxy without certificate, not ready, and trying", async (t) => {
    const service = await startCertificateService(t, authority, { token: "one", account: "sleep" });
    service.become({ code: status.UNAVAILABLE, details: "not now" });
    const end = await startEnd(t, "server", 9, { origin: originOf(service, place(t, service.root, "one")) });
    assert.equal(end.proxy.state(), "INITIALIZING");
    service.become("serve");
    await end.saw(/workload certificate issued/);
    assert.equal(end.proxy.state(), "LIVE");
  });

  const faults: readonly (readonly [string, Behaviour, RegExp])[] = [
    [
      "a refusal",
      { code: status.PERMISSION_DENIED, details: "no" },
      /does not accept this workload, check the token .* \(PERMISSION_DENIED: no\)/,
    ],
    ["a fault of its own", { code: status.INTERNAL, details: "oops" }, /issued no certificate \(INTERNAL: oops\)/],
    ["a certificate of another key", "other-key", /no certificate for the key of the request/],
    ["something else", "garbage", /answered with something that is no certificate/],
  ];
  for (const [what, behaviour, why] of faults) {
    test(`that answers with ${what} is understood`, async (t) => {
      const service = await startCertificateService(t, authority, { token: "one", account: "sleep" });
      service.become(behaviour);
      const address = { address: "127.0.0.1", port: service.port };
      const issuer = createIstiodIssuer({ ...place(t, service.root, "one"), address, clusterId: () => "cluster1", ttlMs: 60_000 });
      t.after(() => issuer.close?.());
      await issuer.issue(identity);
      const issued = await issuer.issue(identity);
      assert.ok(!issued.ok);
      assert.match(issued.problem, why);
      assert.equal(service.asked[0]?.clusterId, "cluster1");
    });
  }

  test("is not believed without a certificate below the given roots, and told no token", async (t) => {
    const service = await startCertificateService(t, authority, { token: "one", account: "sleep" });
    const address = { address: "127.0.0.1", port: service.port };
    const cases: readonly (readonly [Files, RegExp])[] = [
      [place(t, makeCa("another").cert, "one"), /cannot be reached, or its certificate does not lead to \S+root-cert\.pem/],
      [place(t, "nothing", "one"), /root-cert\.pem/],
      [
        { ...place(t, service.root, "one"), tokenFile: "/nowhere/token" },
        /the token for istiod, \/nowhere\/token, cannot be read \(ENOENT\)/,
      ],
      [{ ...place(t, service.root, "one"), rootFile: "/nowhere/root" }, /the roots for istiod, \/nowhere\/root, cannot be read \(ENOENT\)/],
    ];
    for (const [files, why] of cases) {
      const issuer = createIstiodIssuer({ ...files, address, clusterId: () => undefined, ttlMs: 60_000 });
      const issued = await issuer.issue(identity);
      issuer.close?.();
      assert.ok(!issued.ok);
      assert.match(issued.problem, why);
    }
    assert.deepEqual(service.asked, []);
  });
});
