// Replicated control planes, driven on sockets: sleep's application in cluster1 calls httpbin.bar.global, which runs in cluster2.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { ownNetwork } from "../../support/mesh-proxy.ts";
import { httpbinIdentity, startGlobalHost } from "../../support/global-host.ts";

suite("httpbin.bar.global", () => {
  test(
    "is answered by the other cluster's httpbin, through its gateway, with mesh mTLS from end to end",
    { timeout: 60_000 },
    async (t) => {
      const network = ownNetwork();
      const world = await startGlobalHost(t, { address: `${network}.200`, network, subjectAltNames: [httpbinIdentity] });
      assert.deepEqual(await world.resolve(), [`${network}.200`]);

      const head = await world.request("HEAD", "/headers");
      assert.equal(head.status, 200);
      assert.equal(head.headers["server"], "envoy");
      assert.match(String(head.headers["x-envoy-upstream-service-time"]), /^\d+$/);
      assert.equal(head.body, "");

      const get = await world.request("GET", "/headers");
      assert.equal(get.status, 200);
      assert.equal(get.headers["server"], "envoy");
      const told = JSON.parse(get.body) as Record<string, string>;
      assert.equal(told["host"], "httpbin.bar.global:8000");
      assert.match(told["x-forwarded-client-cert"] ?? "", /URI=spiffe:\/\/cluster\.local\/ns\/foo\/sa\/sleep/);
      assert.match(told["x-forwarded-client-cert"] ?? "", new RegExp(`By=${httpbinIdentity}`));

      // The gateway opened nothing: what it passed on was counted as bytes of the cluster that the SNI names.
      assert.ok(world.gateway.stats.value("cluster.outbound_.8000_._.httpbin.bar.global;.upstream_cx_total") > 0);
      assert.equal(world.sleep.stats.value("cluster.outbound|8000||httpbin.bar.global;.upstream_rq_200"), 2);
    },
  );

  test("is not called when the entry's subjectAltNames name somebody else", { timeout: 60_000 }, async (t) => {
    const impostor = "spiffe://cluster.local/ns/bar/sa/somebody-else";
    const network = ownNetwork();
    const world = await startGlobalHost(t, { address: `${network}.200`, network, subjectAltNames: [impostor] });
    const answer = await world.request("GET", "/headers");
    assert.equal(answer.status, 503);
    assert.equal(world.served(), 0);
    assert.ok(world.sleep.stats.value("cluster.outbound|8000||httpbin.bar.global;.ssl.fail_verify_san") > 0);
  });
});
