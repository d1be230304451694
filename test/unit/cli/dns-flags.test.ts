import assert from "node:assert/strict";
import { test } from "node:test";
import { Command } from "commander";
import { addDnsFlags, dnsSettings, type DnsFlags } from "../../../src/cli/dns-flags.ts";
import { defaultAnswerSettings, istioAnswerSettings } from "../../../src/dns/answer.ts";
import { defaultCacheSettings } from "../../../src/dns/cache/caching-upstream.ts";

function parse(...flags: readonly string[]): ReturnType<typeof dnsSettings> {
  const command = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
  addDnsFlags(command);
  return dnsSettings(command.parse(flags, { from: "user" }).opts<DnsFlags>());
}

test("without flags everything is as the responder has it", () => {
  assert.deepEqual(parse(), { answers: defaultAnswerSettings, cache: defaultCacheSettings, search: "all", forwardTimeoutMs: 5000 });
});

test("the flags that make it answer as Istio does", () => {
  const settings = parse("--dns-search=first", "--dns-soa=off", "--dns-edns=off", "--dns-nodata=none", "--dns-cache-entries=0");
  assert.deepEqual(settings, { answers: istioAnswerSettings, cache: "none", search: "first", forwardTimeoutMs: 5000 });
});

test("each setting has its flag", () => {
  const { answers, cache, forwardTimeoutMs } = parse(
    "--dns-forward-timeout-ms=200",
    "--dns-ttl-s=7",
    "--dns-nodata=SRV,HTTPS",
    "--dns-cache-entries=1",
    "--dns-cache-bytes=2",
    "--dns-cache-min-ttl-s=3",
    "--dns-cache-max-ttl-s=4",
    "--dns-cache-negative-ttl-s=5",
    "--dns-serve-stale-s=6",
  );
  assert.deepEqual(answers, { ttlS: 7, soa: true, edns: true, noData: [33, 65] });
  assert.deepEqual(cache, { maxEntries: 1, maxBytes: 2, minTtlS: 3, maxTtlS: 4, maxNegativeTtlS: 5, maxStaleS: 6 });
  assert.equal(forwardTimeoutMs, 200);
});

test("what is no setting is refused", () => {
  for (const flag of [
    "--dns-ttl-s=-1",
    "--dns-ttl-s=1.5",
    "--dns-forward-timeout-ms=0",
    "--dns-nodata=TXT",
    "--dns-nodata=",
    "--dns-soa=yes",
  ]) {
    assert.throws(() => parse(flag), { code: "commander.invalidArgument" }, flag);
  }
});
