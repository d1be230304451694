// Runs inside a network namespace: takes interception of every kind through its life with one back end, and prints what was not
// as it should be. Owners are the namespace's only user, root, so that an ordinary user's namespace is enough.
import { gidOf, localMachine, programRunner } from "../../src/intercept/machine.ts";
import type { GivenFlags } from "../../src/intercept/flags.ts";
import type { BackEndChoice } from "../../src/intercept/choose.ts";
import {
  applyInterception,
  checkInterception,
  type InterceptionDeps,
  printInterception,
  undoInterception,
} from "../../src/intercept/interception.ts";
import { readSettings } from "../../src/intercept/read-settings.ts";
import type { InterceptSettings } from "../../src/intercept/settings.ts";

const backEnd = process.argv[2] as Exclude<BackEndChoice, "auto" | "iptables">;
const run = programRunner(process.env);
const deps: InterceptionDeps = { run, backEnd, gidOf };
const wrong: string[] = [];
const nft = backEnd === "nftables";
// With nftables, that of the back end that takes over in the end.
const variant = nft ? "-nft" : backEnd.replace("iptables", "");

function must(name: string, ok: boolean, detail: readonly string[] = []): void {
  if (!ok) wrong.push(`${name}: ${detail.join(" | ")}`);
}

function read(flags: GivenFlags): InterceptSettings {
  const result = readSettings(
    { "proxy-uid": "0", ipv6: "on", ...flags },
    { ...localMachine({}), resolvConf: () => "nameserver 10.0.0.53\nnameserver fd00::53\n" },
  );
  if (!result.ok) throw new Error(JSON.stringify(result.issues));
  return result.value;
}

/** Every rule, route and address, without counters, dates, and the numbers that `ip` hands out. Empty tables and built-in chains are nothing. */
function state(): string {
  const listings = [
    [`iptables${variant}-save`],
    [`ip6tables${variant}-save`],
    ["nft", "-s", "list", "ruleset", "inet"],
    ["ip", "-4", "rule"],
    ["ip", "-6", "rule"],
    ["ip", "-4", "route", "show", "table", "133"],
    ["ip", "-6", "route", "show", "table", "133"],
    ["ip", "-o", "-6", "addr", "show", "dev", "lo"],
  ];
  return listings
    .map((listing) =>
      run(listing)
        .stdout.replace(/^(#.*|:.* (ACCEPT|DROP) .*|\*\w+|COMMIT)\n/gm, "")
        .replace(/ \[\d+:\d+\]|^\d+:\t/gm, ""),
    )
    .join("\n");
}

function mustRun(...command: readonly string[]): void {
  const ran = run(command);
  must(command.join(" "), ran.ok, [ran.problem]);
}

mustRun("ip", "link", "set", "lo", "up");
// Somebody else's rules, which nothing here may touch.
if (nft) {
  mustRun("nft", "add table inet theirs");
  mustRun("nft", "add chain inet theirs output { type filter hook output priority 0; }");
  mustRun("nft", "add rule inet theirs output tcp dport 123 counter accept");
} else {
  for (const program of [`iptables${variant}`, `ip6tables${variant}`]) {
    mustRun(program, "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "--dport", "123", "-j", "ACCEPT");
    mustRun(program, "-t", "mangle", "-A", "PREROUTING", "-p", "tcp", "--dport", "123", "-j", "ACCEPT");
    mustRun(program, "-t", "nat", "-N", "THEIRS");
  }
}
const before = state();

const cases: Readonly<Record<string, GivenFlags>> = {
  redirect: {
    "istio-inbound-ports": "*",
    "istio-service-cidr": "*",
    "istio-local-exclude-ports": "15020",
    "istio-service-exclude-cidr": "10.1.2.3/16",
  },
  dns: { "istio-service-cidr": "10.0.0.0/8,fd00::/8", "redirect-dns": "true", "istio-local-outbound-ports-exclude": "5" },
  "all dns": { "istio-service-cidr": "*", "redirect-dns": "true", "capture-all-dns": "true", ipv6: "off" },
  tproxy: {
    "istio-inbound-interception-mode": "TPROXY",
    "istio-inbound-ports": "*",
    "istio-service-cidr": "*",
    "istio-exclude-interfaces": "nic9",
    "redirect-dns": "true",
  },
  "tproxy of ports": {
    "istio-inbound-interception-mode": "TPROXY",
    "istio-inbound-ports": "80,81",
    "istio-inbound-tproxy-mark": "77",
    "istio-inbound-tproxy-route-table": "133",
  },
  interfaces: {
    "kube-virt-interfaces": "vm0,vm1",
    "istio-service-cidr": "10.0.0.0/8,fd00::/8",
    "istio-exclude-interfaces": "nic8,nic9",
    "drop-invalid": "true",
  },
  groups: { "istio-service-cidr": "*", "istio-outbound-owner-groups": "root" },
};

const final = new Map<string, string>();
for (const [name, flags] of Object.entries(cases)) {
  const settings = read(flags);
  const nothing = checkInterception(settings, deps);
  must(`${name}: check before`, !nothing.ok && nothing.lines.some((line) => line.startsWith("missing: ")), nothing.lines);
  const applied = applyInterception(settings, deps);
  must(`${name}: apply`, applied.ok, applied.lines);
  const there = state();
  final.set(name, there);
  must(`${name}: apply changes something`, there !== before);
  const checked = checkInterception(settings, deps);
  must(`${name}: check`, checked.ok, checked.lines);
  const again = applyInterception(settings, deps);
  must(`${name}: twice`, again.ok && state() === there, again.lines);
  if (name === "tproxy") halfWay(name, settings, there);
  if (name === "dns") tampered(name, settings, there);
  const undone = undoInterception(read({}), deps);
  must(`${name}: undo with other settings`, undone.ok, undone.lines);
  must(`${name}: undo leaves no trace`, state() === before, [state()]);
}

// From one kind of settings to the next, without anything left between.
for (const name of Object.keys(cases).toReversed()) {
  const moved = applyInterception(read(cases[name] ?? {}), deps);
  must(`on to ${name}`, moved.ok && state() === final.get(name), moved.lines);
}
// Another back end takes over, and leaves none of this one's.
const other: BackEndChoice = nft ? "iptables-nft" : "nftables";
applyInterception(read(cases["tproxy"] ?? {}), deps);
const taken = applyInterception(read(cases["redirect"] ?? {}), { ...deps, backEnd: other });
must("another back end", taken.ok && !checkInterception(read(cases["redirect"] ?? {}), deps).ok, taken.lines);
must("found again unasked", checkInterception(read(cases["redirect"] ?? {}), { ...deps, backEnd: "auto" }).ok);
undoInterception(read({}), deps);
must("undo by whatever back end", state() === before, [state()]);
console.log(`SEEN ${JSON.stringify(wrong)} END`);

/** The state of a run that ended between any two commits is brought to the same end. */
function halfWay(name: string, settings: InterceptSettings, there: string): void {
  // nft has one commit, so there is no half of it.
  if (nft) return;
  for (const [family, document] of printInterception(settings, "iptables")
    .split(/^# IPv6.*\n/m)
    .entries()) {
    const tables = document.replace(/^#.*\n/gm, "").split(/(?<=^COMMIT\n)/m);
    for (let commits = 0; commits < tables.length; commits++) {
      undoInterception(read({}), deps);
      const program = `${family === 0 ? "iptables" : "ip6tables"}${variant}-restore`;
      // Names of groups are looked up by the program itself.
      const part = run([program, "--noflush"], tables.slice(0, commits).join(""));
      must(`${name}: ${commits} commits`, part.ok, [part.problem]);
      const applied = applyInterception(settings, deps);
      must(`${name}: apply after ${commits} commits of family ${family}`, applied.ok && state() === there, [...applied.lines, state()]);
    }
  }
}

/** What somebody changes is said by name, and put right. */
function tampered(name: string, settings: InterceptSettings, there: string): void {
  const changes: readonly (readonly [string, string, readonly string[]])[] = nft
    ? [
        ["foreign", "tcp dport 99", ["nft", "insert rule inet istio-proxy-nat istio-output tcp dport 99 counter accept"]],
        ["missing", "istio-redirect", ["nft", "flush chain inet istio-proxy-nat istio-redirect"]],
        ["foreign", "istio-other", ["nft", "add chain inet istio-proxy-nat istio-other"]],
        ["missing", "istio-proxy-nat", ["nft", "delete table inet istio-proxy-nat"]],
      ]
    : [
        ["foreign", "--dport 99", [`iptables${variant}`, "-t", "nat", "-I", "ISTIO_OUTPUT", "-p", "tcp", "--dport", "99", "-j", "ACCEPT"]],
        ["missing", "ISTIO_REDIRECT", [`iptables${variant}`, "-t", "nat", "-F", "ISTIO_REDIRECT"]],
        ["foreign", "ISTIO_OTHER", [`iptables${variant}`, "-t", "raw", "-N", "ISTIO_OTHER"]],
        ["foreign", "OUTPUT", [`iptables${variant}`, "-t", "nat", "-A", "OUTPUT", "-j", "ISTIO_OUTPUT"]],
        ["missing", "OUTPUT", [`iptables${variant}`, "-t", "nat", "-D", "OUTPUT", "-j", "ISTIO_OUTPUT"]],
        ["order", "ISTIO_OUTPUT", [`iptables${variant}`, "-t", "nat", "-D", "ISTIO_OUTPUT", "-d", "127.0.0.1/32", "-j", "RETURN"]],
      ];
  for (const [kind, what, command] of changes) {
    mustRun(...command);
    if (kind === "order") mustRun(`iptables${variant}`, "-t", "nat", "-I", "ISTIO_OUTPUT", "-d", "127.0.0.1/32", "-j", "RETURN");
    const { ok, lines } = checkInterception(settings, deps);
    must(`${name}: check says ${kind} ${what}`, !ok && lines.some((line) => line.startsWith(`${kind}: `) && line.includes(what)), lines);
    const applied = applyInterception(settings, deps);
    must(`${name}: apply after ${kind} ${what}`, applied.ok && state() === there, applied.lines);
  }
}
