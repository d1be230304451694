import assert from "node:assert/strict";
import { test } from "node:test";
import { loopbackHosts, parseResolvConf } from "../../../src/dns/resolv-conf.ts";

test("name servers and the last search list are read, everything else is passed over", () => {
  const text = `# comment\nnameserver 10.0.0.10\n; more\nnameserver\t2001:db8::53  # trailing\nnameserver not-an-address\nnameserver\nsearch old.example\noptions ndots:5\nsearch default.svc.cluster.local svc.cluster.local\n`;
  assert.deepEqual(parseResolvConf(text), {
    nameServers: [
      { host: "10.0.0.10", port: 53 },
      { host: "2001:db8::53", port: 53 },
    ],
    search: ["default.svc.cluster.local", "svc.cluster.local"],
  });
  assert.deepEqual(parseResolvConf("domain example.com").search, ["example.com"]);
  assert.deepEqual(parseResolvConf(""), { nameServers: [], search: [] });
});

test("localhost is the loopback address of each family the name servers have", () => {
  const v4 = { host: "10.0.0.10", port: 53 };
  const v6 = { host: "2001:db8::53", port: 53 };
  assert.deepEqual(loopbackHosts([v4]), ["127.0.0.1"]);
  assert.deepEqual(loopbackHosts([v6]), ["::1"]);
  assert.deepEqual(loopbackHosts([v6, v4]), ["127.0.0.1", "::1"]);
  assert.deepEqual(loopbackHosts([]), ["127.0.0.1"]);
});
