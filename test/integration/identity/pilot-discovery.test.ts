// The real istiod: takes our intermediate as its plugged-in CA, and issues for our workloads.
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { readAuthority } from "../../../src/identity/ca/ca-files.ts";
import { createIstiodIssuer } from "../../../src/identity/workload/istiod-issuer.ts";
import { createCaDirectoryIssuer } from "../../../src/identity/workload/ca-directory-issuer.ts";
import { verifyChain } from "../../../src/identity/ca/verify.ts";
import { parseChain } from "../../../src/identity/ca/describe.ts";
import { makeIntermediate, makeRoot, placeAuthority, temporaryFolder, valueOf } from "../../support/identity/authorities.ts";
import { missing, startPilotDiscovery } from "../../support/identity/pilot-discovery.ts";

const identity = { trustDomain: "cluster.local", namespace: "default", serviceAccount: "sleep" };

suite("a real istiod", { timeout: 60_000, skip: missing ?? false }, () => {
  test("issues from our cacerts for the token's account, and both chains lead to one root", async (t) => {
    const folder = temporaryFolder(t);
    const cacerts = join(folder, "cacerts");
    placeAuthority(cacerts, makeIntermediate(makeRoot(), "cluster1"));
    const istiod = await startPilotDiscovery(t, cacerts);
    const tokenFile = join(folder, "token");
    const issuer = createIstiodIssuer({
      address: { address: "127.0.0.1", port: istiod.port },
      rootFile: join(cacerts, "root-cert.pem"),
      tokenFile,
      serverName: "istiod.istio-system.svc",
      clusterId: () => "cluster1",
      ttlMs: 3_600_000,
    });
    t.after(() => issuer.close?.());

    writeFileSync(tokenFile, istiod.token("default", "sleep"));
    const issued = await issuer.issue(identity);
    assert.ok(issued.ok, `${issued.ok ? "" : issued.problem}\n${istiod.log()}`);
    const { roots } = valueOf(readAuthority(cacerts));
    const chain = valueOf(parseChain(issued.certificate.certificateChain));
    const uri = "spiffe://cluster.local/ns/default/sa/sleep";
    assert.deepEqual(verifyChain({ chain, roots, nowMs: Date.now(), identity: uri }), []);
    assert.equal(chain.length, 2);
    assert.equal(issued.trustedCa, readFileSync(join(cacerts, "root-cert.pem"), "utf8"));
    assert.ok(Math.abs(chain[0]!.validToDate.getTime() - Date.now() - 3_600_000) < 60_000);

    // The embedded authority beside it makes what istiod's peers accept, and the other way round.
    const own = await createCaDirectoryIssuer({ folder: cacerts, ttlMs: 3_600_000 }).issue(identity);
    assert.ok(own.ok);
    assert.equal(new X509Certificate(own.certificate.certificateChain).issuer, chain[0]!.issuer);
    assert.equal(own.trustedCa, issued.trustedCa);

    writeFileSync(tokenFile, `${istiod.token("default", "sleep")}x`);
    const refused = await issuer.issue(identity);
    assert.ok(!refused.ok);
    assert.match(refused.problem, /does not accept this workload, check the token \S+token \(UNAUTHENTICATED/);
  });
});
