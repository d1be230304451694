import assert from "node:assert/strict";
import { Resolver } from "node:dns/promises";
import { suite, test } from "node:test";
import { startClusterDns } from "../../../../src/cli/demo/cluster-dns.ts";

suite("the demo's cluster DNS", () => {
  test("answers its own cluster's services and says NXDOMAIN to all else", async () => {
    const dns = await startClusterDns("127.0.0.1", new Map([["sleep.default.svc.cluster.local", "127.96.1.10"]]));
    const resolver = new Resolver({ timeout: 2000, tries: 1 });
    resolver.setServers([`127.0.0.1:${dns.port}`]);
    try {
      assert.deepEqual(await resolver.resolve4("Sleep.default.svc.cluster.local", { ttl: true }), [{ address: "127.96.1.10", ttl: 5 }]);
      await assert.rejects(resolver.resolve4("httpbin.default.svc.cluster.local"), { code: "ENOTFOUND" });
      await assert.rejects(resolver.resolve6("sleep.default.svc.cluster.local"), { code: "ENODATA" });
      assert.equal(dns.questions, 3);
    } finally {
      dns.close();
    }
  });
});
