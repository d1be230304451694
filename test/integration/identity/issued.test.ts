// Certificates issued by the proxy itself from a cluster's intermediate (--ca-dir): renewed under load, across clusters, across roots.
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import type { WorkloadOrigin } from "../../../src/proxy/workload-origin.ts";
import type { CertificateAuthority } from "../../../src/identity/ca/authority.ts";
import { makeIntermediate, makeRoot, placeAuthority, temporaryFolder } from "../../support/identity/authorities.ts";
import { startPair, until } from "../../support/identity/mtls-pair.ts";

// A long life renewed early, after two seconds, leaves a slow machine time: that it is half by default is a test of the schedule.
const early = { ttlMs: 60_000, graceRatio: 58 / 60 };

const issuedBy = (
  folder: string,
  serviceAccount: string,
  { ttlMs, graceRatio } = { ttlMs: 3_600_000, graceRatio: 0.5 },
): WorkloadOrigin => ({
  kind: "authority",
  folder,
  ttlMs,
  renewal: { graceRatio, graceJitter: 0 },
  identity: { trustDomain: "cluster.local", namespace: "default", serviceAccount },
});

function place(t: TestContext, authority: CertificateAuthority): string {
  const folder = join(temporaryFolder(t), "ca");
  placeAuthority(folder, authority);
  return folder;
}

suite("certificates issued from a cluster's intermediate", { timeout: 120_000 }, () => {
  test("renew long before they expire, and no request fails", async (t) => {
    const root = makeRoot();
    const [one, two] = [place(t, makeIntermediate(root, "cluster1")), place(t, makeIntermediate(root, "cluster2"))];
    const pair = await startPair(t, {
      client: { origin: issuedBy(one, "sleep", early) },
      server: { origin: issuedBy(two, "httpbin", early) },
    });
    const renewed = Promise.all([pair.client.saw(/workload certificate issued/, 3), pair.server.saw(/workload certificate issued/, 3)]);
    const { failures } = await pair.load(renewed);
    assert.deepEqual(failures, []);
    assert.equal((await pair.ask()).body.match(/URI=([^;,]+)/)?.[1], "spiffe://cluster.local/ns/default/sa/sleep");
  });

  test("stay while the authority cannot issue, and are renewed when it can again", async (t) => {
    const authority = makeIntermediate(makeRoot(), "cluster1");
    const folder = place(t, authority);
    const pair = await startPair(t, {
      client: { origin: issuedBy(folder, "sleep", early) },
      server: { origin: issuedBy(folder, "httpbin") },
    });
    rmSync(join(folder, "ca-key.pem"));
    await pair.client.saw(/workload certificate cannot be renewed, the one in use stays.*ca-key\.pem: cannot be read \(ENOENT\)/);
    assert.equal((await pair.ask()).status, 200);
    const before = pair.client.log().length;
    placeAuthority(folder, authority);
    await until("a new certificate", () => pair.client.log().slice(before).includes("workload certificate issued"), pair.client.log);
    assert.equal((await pair.ask()).status, 200);
  });

  test("move to another root through a bundle of both, and no request fails", async (t) => {
    const [old, next] = [makeRoot("old"), makeRoot("next")];
    const [one, two] = [place(t, makeIntermediate(old, "cluster1")), place(t, makeIntermediate(old, "cluster2"))];
    const pair = await startPair(t, { client: { origin: issuedBy(one, "sleep") }, server: { origin: issuedBy(two, "httpbin") } });
    const settled = async (authority: (cluster: string) => CertificateAuthority, only?: "cluster1"): Promise<void> => {
      const ends = only === undefined ? [pair.client, pair.server] : [pair.client];
      const lengths = ends.map((end) => end.log().length);
      placeAuthority(one, authority("cluster1"));
      if (only === undefined) placeAuthority(two, authority("cluster2"));
      await Promise.all(
        ends.map((end, i) =>
          until("another certificate", () => end.log().slice(lengths[i]).includes("workload certificate issued"), end.log),
        ),
      );
      // A few requests over new connections, so that each step has been used before the next comes.
      for (let i = 0; i < 5; i++) assert.equal((await pair.ask()).status, 200);
    };
    const rotation = (async () => {
      await settled((cluster) => makeIntermediate(old, cluster, [old, next]));
      // One cluster after the other: old and new certificates meet.
      await settled((cluster) => makeIntermediate(next, cluster, [old, next]), "cluster1");
      await settled((cluster) => makeIntermediate(next, cluster, [old, next]));
      await settled((cluster) => makeIntermediate(next, cluster, [next]));
    })();
    const { failures } = await pair.load(rotation);
    assert.deepEqual(failures, []);
    assert.match(
      pair.client.proxy.prometheus(),
      /isthmus_certificate_expiry_seconds\{source="secret ROOTCA",kind="root",position="0",identity="[^"]*next/,
    );
    assert.doesNotMatch(pair.client.proxy.prometheus(), /kind="root",position="1"/);
  });

  test("of clusters with different roots are refused in words that name the clusters", async (t) => {
    const [one, two] = [place(t, makeIntermediate(makeRoot(), "cluster1")), place(t, makeIntermediate(makeRoot(), "cluster2"))];
    const pair = await startPair(t, { client: { origin: issuedBy(one, "sleep") }, server: { origin: issuedBy(two, "httpbin") } });
    const said = "certificate_signed_by_unknown_authority:_root_of_cluster2_is_not_in_cluster1's_root-cert.pem";
    const told = "certificate_signed_by_unknown_authority:_root_of_cluster2_is_not_in_the_peer's_root-cert.pem";
    const answer = await pair.ask();
    assert.equal(answer.status, 503);
    await until("the client's record", async () => (await pair.client.access()).includes("503 "));
    assert.match(
      await pair.client.access(),
      new RegExp(`503 UF.* up=TLS_error:\\|\\S*unable_to_get_local_issuer_certificate:TLS_error_end_\\(${said}\\)`),
    );
    await until("the server's record", async () => (await pair.server.access()).includes("down=TLS"));
    assert.ok((await pair.server.access()).includes(`TLSV1_ALERT_UNKNOWN_CA:TLS_error_end_(${told})`), await pair.server.access());
  });

  test("of a cluster whose root the server alone does not know are refused by the server", async (t) => {
    const [ours, theirs] = [makeRoot(), makeRoot()];
    const one = place(t, makeIntermediate(ours, "cluster1", [ours, theirs]));
    const two = place(t, makeIntermediate(theirs, "cluster2"));
    const pair = await startPair(t, { client: { origin: issuedBy(one, "sleep") }, server: { origin: issuedBy(two, "httpbin") } });
    assert.equal((await pair.ask()).status, 503);
    await until("the server's record", async () => (await pair.server.access()).includes("down=TLS"));
    const said = "certificate_signed_by_unknown_authority:_root_of_cluster1_is_not_in_cluster2's_root-cert.pem";
    assert.ok((await pair.server.access()).includes(`(${said})`), await pair.server.access());
    await until("the client's record", async () => (await pair.client.access()).includes("503 "));
    const told =
      "TLSV1_ALERT_UNKNOWN_CA:TLS_error_end_(certificate_signed_by_unknown_authority:_root_of_cluster1_is_not_in_the_peer's_root-cert.pem)";
    assert.ok((await pair.client.access()).includes(told), await pair.client.access());
  });

  test("are not to be had without an authority: the proxy does not start, and says why", async (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, "ca-cert.pem"), "nothing");
    await assert.rejects(
      startPair(t, { client: { origin: issuedBy(folder, "sleep") }, server: { origin: issuedBy(folder, "httpbin") } }),
      /ca-cert\.pem: there is no PEM certificate/,
    );
  });
});
