// Flags to settings: every value is checked here, so that nothing but numbers, ranges and plain names reaches a rule.
import { isIP } from "node:net";
import type { Issue, Result } from "../error.ts";
import { type GivenFlags, interceptFlags, type InterceptFlagName } from "./flags.ts";
import { readRange } from "./range.ts";
import type { DnsCapture, InterceptSettings, OwnerGroups, Range } from "./settings.ts";

/** What the machine adds to flags. */
export interface Machine {
  /** Its addresses, as `os.networkInterfaces` gives them. */
  readonly addresses: readonly string[];
  /** The text of resolv.conf, or why there is none. Asked for only when DNS is captured by server. */
  readonly resolvConf: () => string | { readonly error: string };
  /** The uid of a user; undefined when there is none of that name. */
  readonly uidOf: (user: string) => number | undefined;
  /** ENVOY_USER. Default: istio-proxy. */
  readonly envoyUser?: string;
}

// Istio's limit: the kernel takes no more matches in the one rule that they all share.
const maxOwnerGroups = 64;
const defaultUid = 1337;

/** The settings that the flags mean on that machine, or everything that is wrong with them. */
export function readSettings(given: GivenFlags, machine: Machine): Result<InterceptSettings> {
  const reader = new FlagReader(given);
  const uids = reader.numbers("proxy-uid", maxId);
  const proxyUids = uids.length > 0 ? uids : [machine.uidOf(machine.envoyUser ?? "istio-proxy") ?? defaultUid];
  const gids = reader.numbers("proxy-gid", maxId);
  const ipv6 = readIpv6(reader, machine.addresses);
  const settings: InterceptSettings = {
    proxyPort: reader.number("envoy-port", maxPort),
    inboundCapturePort: reader.number("inbound-capture-port", maxPort),
    inboundTunnelPort: reader.number("inbound-tunnel-port", maxPort),
    proxyUids,
    proxyGids: gids.length > 0 ? gids : proxyUids,
    mode: reader.choice("istio-inbound-interception-mode", ["REDIRECT", "TPROXY", "NONE"] as const),
    tproxyMark: reader.number("istio-inbound-tproxy-mark", maxId),
    tproxyRouteTable: reader.number("istio-inbound-tproxy-route-table", maxId),
    inboundPorts: reader.text("istio-inbound-ports") === "*" ? "*" : reader.numbers("istio-inbound-ports", maxPort),
    inboundPortsExclude: reader.numbers("istio-local-exclude-ports", maxPort),
    outboundPorts: reader.numbers("istio-outbound-ports", maxPort),
    outboundPortsExclude: reader.numbers("istio-local-outbound-ports-exclude", maxPort),
    outboundRanges: reader.text("istio-service-cidr") === "*" ? "*" : reader.ranges("istio-service-cidr", ipv6),
    outboundRangesExclude: reader.ranges("istio-service-exclude-cidr", ipv6),
    virtualInterfaces: reader.interfaces("kube-virt-interfaces"),
    excludeInterfaces: reader.interfaces("istio-exclude-interfaces"),
    ownerGroups: readOwnerGroups(reader),
    ipv4Loopback: readLoopback(reader),
    ipv6,
    dns: readDns(reader, machine),
    dropInvalid: reader.flag("drop-invalid"),
  };
  if (/^0+$/.test(reader.text("istio-inbound-tproxy-mark")))
    reader.fail("istio-inbound-tproxy-mark", "0 is the mark of every unmarked packet");
  const { issues } = reader;
  return issues.some(({ severity }) => severity === "error") ? { ok: false, issues } : { ok: true, value: settings, issues };
}

const maxPort = 65_535;
// Ids, marks and tables are 32 bits wide; the highest id means "none" to the kernel.
const maxId = 0xfffffffe;

class FlagReader {
  readonly issues: Issue[] = [];
  readonly #given: GivenFlags;

  constructor(given: GivenFlags) {
    this.#given = given;
  }

  fail(name: InterceptFlagName, message: string): void {
    this.issues.push({ severity: "error", path: [`--${name}`], message });
  }

  warn(name: InterceptFlagName, message: string): void {
    this.issues.push({ severity: "warning", path: [`--${name}`], message });
  }

  text(name: InterceptFlagName): string {
    const value = this.#given[name];
    return (value ?? interceptFlags.find((flag) => flag.name === name)?.default ?? "").trim();
  }

  // Empty entries are nothing, as in Istio.
  list(name: InterceptFlagName): readonly string[] {
    return this.text(name)
      .split(",")
      .map((word) => word.trim())
      .filter((word) => word !== "");
  }

  flag(name: InterceptFlagName): boolean {
    return this.choice(name, ["false", "true", "0", "1"] as const).replace("1", "true") === "true";
  }

  choice<T extends string>(name: InterceptFlagName, choices: readonly [T, ...T[]]): T {
    const text = this.text(name);
    const found = choices.find((choice) => choice === text);
    if (found === undefined && text !== "") this.fail(name, `"${text}" is none of ${choices.join(", ")}`);
    return found ?? choices[0];
  }

  number(name: InterceptFlagName, most: number): number {
    const [first, ...rest] = this.numbers(name, most);
    if (rest.length > 0 || (first === undefined && this.list(name).length === 0)) this.fail(name, "one number is expected");
    return first ?? 0;
  }

  numbers(name: InterceptFlagName, most: number): readonly number[] {
    const least = most === maxPort ? 1 : 0;
    return unique(this.list(name)).flatMap((word) => {
      const value = /^\d{1,10}$/.test(word) ? Number(word) : Number.NaN;
      if (value >= least && value <= most) return [value];
      this.fail(name, `"${word}" is ${word === "*" ? "not possible here" : `no number from ${least} to ${most}`}`);
      return [];
    });
  }

  ranges(name: InterceptFlagName, ipv6: boolean): readonly Range[] {
    return unique(this.list(name)).flatMap((word) => {
      const range = readRange(word);
      if (range === undefined) {
        this.fail(name, word === "*" ? '"*" stands alone, and only for --istio-service-cidr' : `"${word}" is no range like 10.0.0.0/8`);
      } else if (range.family === 4 || ipv6) return [range];
      else this.warn(name, `"${word}" has no effect, since IPv6 is not intercepted (--ipv6)`);
      return [];
    });
  }

  interfaces(name: InterceptFlagName): readonly string[] {
    return unique(this.list(name)).filter((word) => {
      // The kernel's limit of 15 bytes, and no character that rules would need quoted.
      const fits = /^[A-Za-z0-9_.:@-]{1,15}\+?$/.test(word) && word.length <= 15 && !word.startsWith("-");
      if (!fits) this.fail(name, `"${word}" is no name of a network interface`);
      return fits;
    });
  }

  groups(name: InterceptFlagName): readonly string[] {
    return unique(this.list(name)).filter((word) => {
      const fits = /^([A-Za-z_][A-Za-z0-9_.-]{0,31}|\d{1,10})$/.test(word);
      if (!fits) this.fail(name, `"${word}" is neither a number nor a name of a group`);
      return fits;
    });
  }
}

function unique(words: readonly string[]): readonly string[] {
  return [...new Set(words)];
}

function readOwnerGroups(reader: FlagReader): OwnerGroups {
  const include = reader.text("istio-outbound-owner-groups");
  if (include === "*" || include === "") return { except: reader.groups("istio-outbound-owner-groups-exclude") };
  const only = reader.groups("istio-outbound-owner-groups");
  if (only.length > maxOwnerGroups) {
    reader.fail("istio-outbound-owner-groups", `${only.length} groups are more than the ${maxOwnerGroups} that one rule can hold`);
  }
  return { only };
}

function readLoopback(reader: FlagReader): string {
  const name = "istio-outbound-ipv4-loopback-cidr";
  const text = reader.text(name);
  const range = readRange(text);
  if (range?.family !== 4 || !range.loopback || Number(text.split("/")[1]) < 8) {
    reader.fail(name, `"${text}" is no range within 127.0.0.0/8`);
  }
  return text;
}

// Istio's rule: IPv6 when the machine's first address is one, and with dual-stack when any is. The kernel lists IPv4 first.
function readIpv6(reader: FlagReader, addresses: readonly string[]): boolean {
  const dualStack = reader.flag("dual-stack");
  const choice = reader.choice("ipv6", ["auto", "on", "off"] as const);
  if (choice !== "auto") return choice === "on";
  const outside = addresses.filter((address) => !/^(127\.|169\.254\.|::1$|fe[89ab])/i.test(address));
  const ipv6 = outside.some((address) => isIP(address) === 6);
  return dualStack ? ipv6 : ipv6 && !outside.some((address) => isIP(address) === 4);
}

function readDns(reader: FlagReader, machine: Machine): DnsCapture {
  const all = reader.flag("capture-all-dns");
  if (!reader.flag("redirect-dns")) return "off";
  if (all) return "all";
  const text = machine.resolvConf();
  if (typeof text !== "string") {
    reader.fail("redirect-dns", text.error);
    return "off";
  }
  const servers = unique([...text.matchAll(/^[ \t]*nameserver[ \t]+(\S+)/gm)].map(([, server = ""]) => server)).flatMap((address) => {
    const family = isIP(address);
    return family === 4 || family === 6 ? [{ address, family } as const] : [];
  });
  if (servers.length > 0) return { servers };
  reader.warn("redirect-dns", "has no effect: resolv.conf names no server; --capture-all-dns takes queries to any");
  return "off";
}
