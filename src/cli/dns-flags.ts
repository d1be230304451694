// The flags of `isthmus run` that say how DNS answers: what Istio's proxy has no setting for, or has none at all.
import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import { defaultAnswerSettings } from "../dns/answer.ts";
import { defaultCacheSettings } from "../dns/cache/caching-upstream.ts";
import { MAX_UDP_PAYLOAD, MIN_UDP_LIMIT, recordType } from "../dns/codec.ts";
import { defaultForwardSettings } from "../dns/forward/settings.ts";
import type { ForwardSettings } from "../dns/forward/settings.ts";
import type { MeshDnsSettings } from "../proxy/mesh-dns.ts";

/** As commander reads them. */
export interface DnsFlags {
  readonly dnsForwardOrder: ForwardSettings["order"];
  readonly dnsForwardTimeoutMs: number;
  readonly dnsForwardDeadlineMs: number;
  readonly dnsForwardDownDeadlineMs: number;
  readonly dnsForwardRetries: number;
  readonly dnsForwardMax: number;
  readonly dnsForwardTcp: "on" | "off";
  readonly dnsForwardCookies: "on" | "off";
  readonly dnsForwardMixedCase: "on" | "off";
  readonly dnsTtlS: number;
  readonly dnsSearch: "all" | "first";
  readonly dnsSoa: "on" | "off";
  readonly dnsEdns: "on" | "off";
  readonly dnsNodata: readonly number[];
  readonly dnsSrv: "on" | "off";
  readonly dnsUdpMaxBytes: number;
  readonly dnsCacheEntries: number;
  readonly dnsCacheBytes: number;
  readonly dnsCacheMinTtlS: number;
  readonly dnsCacheMaxTtlS: number;
  readonly dnsCacheNegativeTtlS: number;
  readonly dnsServeStaleS: number;
}

/** Types that clients ask of names beside addresses. */
const selectable = { SRV: recordType.srv, SVCB: recordType.svcb, HTTPS: recordType.https } as const;

const answers = defaultAnswerSettings;
const cache = defaultCacheSettings;
const forward = defaultForwardSettings;

/** Adds the flags to `command`. */
export function addDnsFlags(command: Command): void {
  const choice = (flag: string, help: string, choices: readonly string[]): Option =>
    new Option(flag, help).choices(choices).default(choices[0]);
  command
    .addOption(choice("--dns-forward-order <order>", "how the servers for other names are asked", ["shuffled", "ordered", "parallel"]))
    .option("--dns-forward-timeout-ms <ms>", "how long one of them may take", wholeNumber(1), forward.timeoutMs)
    .option("--dns-forward-deadline-ms <ms>", "when a client has its SERVFAIL at the latest", wholeNumber(1), forward.deadlineMs)
    .option("--dns-forward-down-deadline-ms <ms>", "the same while all servers are silent", wholeNumber(1), forward.downDeadlineMs)
    .option("--dns-forward-retries <n>", "times that servers without a reply are asked again", wholeNumber(0), forward.retries)
    .option("--dns-forward-max <n>", "queries under way to them; more get SERVFAIL at once", wholeNumber(1), forward.maxInFlight)
    .addOption(choice("--dns-forward-tcp <on|off>", "ask over TCP for what came cut by UDP", ["on", "off"]))
    .addOption(choice("--dns-forward-cookies <on|off>", "DNS cookies towards them", ["on", "off"]))
    .addOption(choice("--dns-forward-mixed-case <on|off>", "questions in random case towards them (0x20)", ["off", "on"]))
    .option("--dns-ttl-s <seconds>", "how long clients may keep answers about mesh names", wholeNumber(0), answers.ttlS)
    .addOption(
      choice(
        "--dns-search <which>",
        "search domains of resolv.conf that mesh names are also known under; first: full names are not, as in Istio",
        ["all", "first"],
      ),
    )
    .addOption(choice("--dns-soa <on|off>", "an SOA where a mesh name has no address of the asked family", ["on", "off"]))
    .addOption(choice("--dns-edns <on|off>", "EDNS in answers about mesh names to clients that use it", ["on", "off"]))
    .addOption(
      new Option("--dns-nodata <types>", "no mesh name has these (of SRV,SVCB,HTTPS; none = ask upstream; SRV with --dns-srv off)")
        .argParser(recordTypes)
        .default(answers.noData, "SVCB,HTTPS"),
    )
    .addOption(choice("--dns-srv <on|off>", "SRV records of the ports of mesh names", ["on", "off"]))
    .option("--dns-udp-max-bytes <n>", "largest UDP reply, however much a client takes", wholeNumber(MIN_UDP_LIMIT), answers.maxUdpBytes)
    .option("--dns-cache-entries <n>", "replies about other names kept, 0 = none", wholeNumber(0), cache.maxEntries)
    .option("--dns-cache-bytes <n>", "memory for them", wholeNumber(0), cache.maxBytes)
    .option("--dns-cache-min-ttl-s <seconds>", "kept at least, whatever their TTL", wholeNumber(0), cache.minTtlS)
    .option("--dns-cache-max-ttl-s <seconds>", "kept at most", wholeNumber(0), cache.maxTtlS)
    .option("--dns-cache-negative-ttl-s <seconds>", "kept at most when the name does not exist", wholeNumber(0), cache.maxNegativeTtlS)
    .option("--dns-serve-stale-s <seconds>", "given beyond their TTL while no server answers, 0 = never", wholeNumber(0), cache.maxStaleS);
}

/** What the flags mean. */
export function dnsSettings(flags: DnsFlags): MeshDnsSettings {
  return {
    answers: {
      ttlS: flags.dnsTtlS,
      soa: flags.dnsSoa === "on",
      edns: flags.dnsEdns === "on",
      noData: flags.dnsNodata,
      srv: flags.dnsSrv === "on",
      maxUdpBytes: Math.min(flags.dnsUdpMaxBytes, MAX_UDP_PAYLOAD),
    },
    cache:
      flags.dnsCacheEntries === 0
        ? "none"
        : {
            maxEntries: flags.dnsCacheEntries,
            maxBytes: flags.dnsCacheBytes,
            minTtlS: flags.dnsCacheMinTtlS,
            maxTtlS: flags.dnsCacheMaxTtlS,
            maxNegativeTtlS: flags.dnsCacheNegativeTtlS,
            maxStaleS: flags.dnsServeStaleS,
          },
    search: flags.dnsSearch,
    forward: {
      order: flags.dnsForwardOrder,
      timeoutMs: flags.dnsForwardTimeoutMs,
      deadlineMs: flags.dnsForwardDeadlineMs,
      downDeadlineMs: flags.dnsForwardDownDeadlineMs,
      retries: flags.dnsForwardRetries,
      maxInFlight: flags.dnsForwardMax,
      tcpOnTruncation: flags.dnsForwardTcp === "on",
      cookies: flags.dnsForwardCookies === "on",
      mixedCase: flags.dnsForwardMixedCase === "on",
    },
  };
}

function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    if (!/^\d{1,9}$/.test(text) || Number(text) < least) throw new InvalidArgumentError(`Expected a whole number from ${least}.`);
    return Number(text);
  };
}

function recordTypes(text: string): readonly number[] {
  if (text === "none") return [];
  return text.split(",").map((name) => {
    if (!Object.hasOwn(selectable, name)) throw new InvalidArgumentError(`Expected none, or some of ${Object.keys(selectable).join(",")}.`);
    return selectable[name as keyof typeof selectable];
  });
}
