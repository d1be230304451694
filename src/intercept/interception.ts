// The door of the room: apply, check and undo interception in a network namespace, and print what apply would set.
import { type BackEndChoice, type Chosen, chooseBackEnd } from "./choose.ts";
import type { Problem } from "./back-end.ts";
import { renderDocument } from "./iptables/render.ts";
import { type capability, hasCapability, type RunProgram, unmappedIds } from "./machine.ts";
import { renderTransaction } from "./nftables/render.ts";
import { changeRoutes, inspectRoutes, routesOf } from "./routes.ts";
import type { Rule } from "./rule.ts";
import { ruleSet } from "./rules/rule-set.ts";
import type { InterceptSettings } from "./settings.ts";

/** What an action came to. */
export interface Outcome {
  /** True when all is as it should be. */
  readonly ok: boolean;
  /** What to say, line by line. */
  readonly lines: readonly string[];
}

/** What actions work with. */
export interface InterceptionDeps {
  readonly run: RunProgram;
  readonly backEnd: BackEndChoice;
  /** The number of a group; undefined when there is none of that name. */
  readonly gidOf: (group: string) => number | undefined;
  /** Default: this process's capabilities. */
  readonly capable?: (name: keyof typeof capability) => boolean;
}

/** Makes interception as the settings say, whatever was there of it before. Does nothing when it is so already. */
export function applyInterception(settings: InterceptSettings, deps: InterceptionDeps): Outcome {
  return change(settings, deps, "applied");
}

/** Takes away all of interception, by whichever back end and settings it was made. */
export function undoInterception(settings: InterceptSettings, deps: InterceptionDeps): Outcome {
  return change({ ...settings, mode: "NONE" }, deps, "undone");
}

/** Says what is missing and what is foreign; not ok when anything is. */
export function checkInterception(settings: InterceptSettings, deps: InterceptionDeps): Outcome {
  const found = look(settings, deps);
  if ("problem" in found) return failed(found);
  const ahead = found.inspection.ahead.map((rule) => `note: another's rule comes first: ${rule}`);
  if (found.wrong.length > 0) return { ok: false, lines: [...found.wrong, ...ahead] };
  return { ok: true, lines: [`in place: ${found.rules.length} rules by ${found.chosen.backEnd.name}`, ...ahead] };
}

/** The rules as the back end's own program reads them, and the commands of routes as comments. Needs no rights. */
export function printInterception(settings: InterceptSettings, backEnd: "iptables" | "nftables"): string {
  const rules = ruleSet(settings);
  const routes = routesOf(settings).map(({ add }) => `# ${add.join(" ")}\n`);
  if (backEnd === "nftables") return ["# nft -f -\n", renderTransaction(rules), ...routes].join("");
  return [
    "# IPv4: iptables-restore --noflush\n",
    renderDocument(rules, 4),
    ...(settings.ipv6 ? ["# IPv6: ip6tables-restore --noflush\n", renderDocument(rules, 6)] : []),
    ...routes,
  ].join("");
}

interface Found extends Chosen {
  readonly rules: readonly Rule[];
  readonly inspection: Chosen["chosen"]["holds"];
  readonly routes: ReturnType<typeof inspectRoutes>;
  /** Every difference, as lines. */
  readonly wrong: readonly string[];
}

const rawMissing = "CAP_NET_RAW is missing, which iptables-legacy needs beside CAP_NET_ADMIN; iptables-nft and nftables do not";

function look(asked: InterceptSettings, deps: InterceptionDeps): Found | Problem {
  const capable = deps.capable ?? hasCapability;
  if (!capable("NET_ADMIN"))
    return { problem: "CAP_NET_ADMIN is missing: start it as root or with that capability (isthmus intercept print needs none)" };
  // Without it iptables-legacy cannot even be looked at.
  if (deps.backEnd === "iptables-legacy" && !capable("NET_RAW")) return { problem: rawMissing };
  const settings = withGroupNumbers(asked, deps.gidOf);
  if ("problem" in settings) return settings;
  const choice = chooseBackEnd(deps.backEnd, deps.run);
  if ("problem" in choice) return choice;
  const { chosen, others } = choice;
  if (chosen.backEnd.name === "iptables-legacy" && !capable("NET_RAW")) return { problem: rawMissing };
  const unknown = chosen.backEnd.name.startsWith("iptables") ? unmappedOwner(settings) : undefined;
  if (unknown !== undefined) return { problem: unknown };
  const rules = ruleSet(settings);
  const inspection = chosen.backEnd.inspect(rules, settings.ipv6);
  if ("problem" in inspection) return inspection;
  const marks = [inspection, ...others.map(({ holds }) => holds)].flatMap((state) => state.marks);
  const routes = inspectRoutes(deps.run, settings, marks);
  const wrong = [
    ...inspection.findings.map(({ kind, text }) => `${kind}: ${text}`),
    ...others.filter(({ holds }) => holds.present).map(({ backEnd }) => `foreign: interception by ${backEnd.name} as well`),
    ...routes.missing.map(({ name }) => `missing: ${name}`),
    ...routes.foreign.map(({ name }) => `foreign: ${name}`),
  ];
  return { ...choice, rules, inspection, routes, wrong };
}

function change(settings: InterceptSettings, deps: InterceptionDeps, done: "applied" | "undone"): Outcome {
  const found = look(settings, deps);
  if ("problem" in found) return failed(found);
  const { backEnd } = found.chosen;
  if (found.wrong.length === 0)
    return { ok: true, lines: [done === "applied" ? `in place already, by ${backEnd.name}` : "nothing to undo"] };
  // Routes before the rules that mark packets for them, and after those that did: a marked packet always has its way.
  // The new back end before the old one is emptied: at no time does traffic pass the proxy by.
  const problem =
    changeRoutes(deps.run, found.routes.missing, "add") ??
    backEnd.set(found.rules, settings.ipv6) ??
    found.others
      .filter(({ holds }) => holds.present)
      .reduce<Problem | undefined>((first, other) => first ?? other.backEnd.set([], false), undefined) ??
    changeRoutes(deps.run, found.routes.foreign, "remove");
  if (problem !== undefined) return failed(problem);
  const after = look(settings, deps);
  if ("problem" in after) return failed(after);
  if (after.wrong.length > 0) return { ok: false, lines: ["error: something else changes the rules, since afterwards:", ...after.wrong] };
  return { ok: true, lines: [done === "applied" ? `applied: ${found.rules.length} rules by ${backEnd.name}` : "undone"] };
}

function failed({ problem }: Problem): Outcome {
  return { ok: false, lines: [`error: ${problem}`] };
}

// Names in rules would be looked up by the program, and be numbers in what it prints.
function withGroupNumbers(settings: InterceptSettings, gidOf: InterceptionDeps["gidOf"]): InterceptSettings | Problem {
  const { ownerGroups } = settings;
  const names = "only" in ownerGroups ? ownerGroups.only : ownerGroups.except;
  const numbers = names.map((name) => (/^\d+$/.test(name) ? Number(name) : gidOf(name)));
  const unknown = names.find((_, index) => numbers[index] === undefined);
  if (unknown !== undefined) return { problem: `there is no group ${unknown} on this machine (/etc/group)` };
  const groups = numbers.map(String);
  return { ...settings, ownerGroups: "only" in ownerGroups ? { only: groups } : { except: groups } };
}

// Iptables says no more than "Invalid argument" to such a rule.
function unmappedOwner({ mode, proxyUids, proxyGids, ownerGroups }: InterceptSettings): string | undefined {
  if (mode === "NONE") return undefined;
  const groups = "only" in ownerGroups ? ownerGroups.only : ownerGroups.except;
  const [uid] = unmappedIds("uid", proxyUids);
  const [gid] = unmappedIds("gid", [...proxyGids, ...groups.map(Number)]);
  if (uid === undefined && gid === undefined) return undefined;
  const who = uid === undefined ? `group ${gid}` : `user ${uid}`;
  return `${who} does not exist in this user namespace: map it (unshare --map-auto), name others with --proxy-uid and --proxy-gid, or use --native-nftables`;
}
