import assert from "node:assert/strict";
import { test } from "node:test";
import { Command } from "commander";
import { addDnsFlags, dnsSettings, type DnsFlags } from "../../../src/cli/dns-flags.ts";
import { defaultAnswerSettings, istioAnswerSettings } from "../../../src/dns/answer.ts";
import { defaultForwardSettings, istioForwardSettings } from "../../../src/dns/forward/settings.ts";
import { defaultCacheSettings } from "../../../src/dns/cache/caching-upstream.ts";

function parse(...flags: readonly string[]): ReturnType<typeof dnsSettings> {
  const command = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
  addDnsFlags(command);
  return dnsSettings(command.parse(flags, { from: "user" }).opts<DnsFlags>());
}

test("without flags everything is as the responder has it", () => {
  assert.deepEqual(parse(), {
    answers: defaultAnswerSettings,
    cache: defaultCacheSettings,
    search: "all",
    forward: defaultForwardSettings,
  });
});

test("the flags that make it answer as Istio does", () => {
  const settings = parse(
    "--dns-search=first",
    "--dns-soa=off",
    "--dns-edns=off",
    "--dns-nodata=none",
    "--dns-cache-entries=0",
    "--dns-srv=off",
    "--dns-forward-timeout-ms=5000",
    "--dns-forward-deadline-ms=15000",
    "--dns-forward-down-deadline-ms=15000",
    "--dns-forward-retries=0",
    "--dns-forward-tcp=off",
    "--dns-forward-cookies=off",
  );
  assert.deepEqual(settings, { answers: istioAnswerSettings, cache: "none", search: "first", forward: istioForwardSettings });
});

test("each setting has its flag", () => {
  const { answers, cache, forward } = parse(
    "--dns-forward-timeout-ms=200",
    "--dns-forward-order=parallel",
    "--dns-forward-deadline-ms=300",
    "--dns-forward-down-deadline-ms=30",
    "--dns-forward-retries=2",
    "--dns-forward-max=9",
    "--dns-forward-tcp=off",
    "--dns-forward-cookies=off",
    "--dns-forward-mixed-case=on",
    "--dns-srv=off",
    "--dns-udp-max-bytes=1232",
    "--dns-ttl-s=7",
    "--dns-nodata=SRV,HTTPS",
    "--dns-cache-entries=1",
    "--dns-cache-bytes=2",
    "--dns-cache-min-ttl-s=3",
    "--dns-cache-max-ttl-s=4",
    "--dns-cache-negative-ttl-s=5",
    "--dns-serve-stale-s=6",
  );
  assert.deepEqual(answers, { ttlS: 7, soa: true, edns: true, noData: [33, 65], srv: false, maxUdpBytes: 1232 });
  assert.deepEqual(cache, { maxEntries: 1, maxBytes: 2, minTtlS: 3, maxTtlS: 4, maxNegativeTtlS: 5, maxStaleS: 6 });
  assert.deepEqual(forward, {
    order: "parallel",
    timeoutMs: 200,
    deadlineMs: 300,
    downDeadlineMs: 30,
    retries: 2,
    maxInFlight: 9,
    tcpOnTruncation: false,
    cookies: false,
    mixedCase: true,
  });
});

test("what is no setting is refused", () => {
  for (const flag of [
    "--dns-ttl-s=-1",
    "--dns-ttl-s=1.5",
    "--dns-forward-timeout-ms=0",
    "--dns-forward-order=random",
    "--dns-udp-max-bytes=511",
    "--dns-nodata=TXT",
    "--dns-nodata=",
    "--dns-soa=yes",
  ]) {
    assert.throws(() => parse(flag), { code: "commander.invalidArgument" }, flag);
  }
});
