// What interception needs beside rules: with TPROXY marked packets are routed to the machine itself, and with IPv6 loopback has
// ::6, from which inbound traffic comes (127.0.0.6 needs nothing, all of 127.0.0.0/8 being loopback).
import type { Problem } from "./back-end.ts";
import type { RunProgram } from "./machine.ts";
import type { InterceptSettings } from "./settings.ts";

/** One thing that `ip` sets. */
interface RouteItem {
  /** What identifies it, and is shown. */
  readonly name: string;
  readonly add: readonly string[];
  readonly remove: readonly string[];
}

/** What lacks and what is there without need. */
export interface RouteInspection {
  readonly missing: readonly RouteItem[];
  readonly foreign: readonly RouteItem[];
}

function ruleItem(family: 4 | 6, mark: number, table: string): RouteItem {
  const what = ["fwmark", String(mark), "lookup", table];
  const ip = ["ip", `-${family}`, "rule"];
  return { name: [...ip, ...what].join(" "), add: [...ip, "add", ...what], remove: [...ip, "del", ...what] };
}

function routeItem(family: 4 | 6, table: string): RouteItem {
  const what = ["local", "default", "dev", "lo", "table", table];
  const ip = ["ip", `-${family}`, "route"];
  return { name: [...ip, ...what].join(" "), add: [...ip, "replace", ...what], remove: [...ip, "del", ...what] };
}

const inboundAddress: RouteItem = {
  name: "ip -6 addr ::6/128 dev lo",
  add: ["ip", "-6", "addr", "replace", "::6/128", "dev", "lo"],
  remove: ["ip", "-6", "addr", "del", "::6/128", "dev", "lo"],
};

const families = [4, 6] as const;

/** What the settings ask for. */
export function routesOf(settings: InterceptSettings): readonly RouteItem[] {
  if (settings.mode === "NONE") return [];
  const tproxy = settings.mode === "TPROXY" && settings.inboundPorts.length > 0;
  const table = String(settings.tproxyRouteTable);
  return [
    ...(settings.ipv6 ? [inboundAddress] : []),
    ...families
      .filter((family) => tproxy && (family === 4 || settings.ipv6))
      .flatMap((family) => [ruleItem(family, settings.tproxyMark, table), routeItem(family, table)]),
  ];
}

/** What is there of ours: anything about these marks and the tables that they lead to. */
function routesThere(run: RunProgram, marks: ReadonlySet<number>): readonly RouteItem[] {
  const there: RouteItem[] = [];
  for (const family of families) {
    const rules = run(["ip", `-${family}`, "rule", "show"]).stdout.matchAll(/fwmark (0x[0-9a-f]+|\d+)(?:\/\S+)? lookup (\S+)/g);
    const own = [...rules].filter(([, mark = ""]) => marks.has(Number(mark)));
    there.push(...own.map(([, mark = "", table = ""]) => ruleItem(family, Number(mark), table)));
    for (const table of new Set(own.map(([, , name = ""]) => name))) {
      const routes = run(["ip", `-${family}`, "route", "show", "table", table]).stdout;
      if (/^local default dev lo\b/m.test(routes)) there.push(routeItem(family, table));
    }
  }
  if (/ inet6 ::6\/128 /.test(run(["ip", "-6", "addr", "show", "dev", "lo"]).stdout)) there.push(inboundAddress);
  return there;
}

/** Compares; `marks` are those of TPROXY that rules there set, whatever the settings say. Where there is no `ip`, nothing is there. */
export function inspectRoutes(run: RunProgram, settings: InterceptSettings, marks: readonly number[]): RouteInspection {
  const wanted = routesOf(settings);
  const there = routesThere(run, new Set([settings.tproxyMark, ...marks]));
  return {
    missing: wanted.filter(({ name }) => !there.some((item) => item.name === name)),
    foreign: there.filter(({ name }) => !wanted.some((item) => item.name === name)),
  };
}

/** Runs what adds or removes the items; stops at the first that fails. */
export function changeRoutes(run: RunProgram, items: readonly RouteItem[], change: "add" | "remove"): Problem | undefined {
  for (const item of items) {
    const ran = run(item[change]);
    if (!ran.ok) return { problem: `${item[change].join(" ")}: ${ran.absent ? "there is no such program (iproute2)" : ran.problem}` };
  }
  return undefined;
}
