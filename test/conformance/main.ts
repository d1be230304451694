// npm run conformance [-- wire|live|translate] [--only PART] [--details]
// wire: recorded Envoy cases over real sockets. live: cases that the real Envoy answers in the same run. Without a name both of
// these. translate: recorded control-plane output per scenario and node.
// Prints why it skips where the recordings or the rights are missing; exit code 1 below the floor.
import { parseArgs } from "node:util";
import { listedDifferences } from "./differences.ts";
import { notCompared, reasonOf } from "./known-differences.ts";
import { runLive } from "./live.ts";
import { liveProblem } from "./live/proxies.ts";
import { translateProblem, wireProblem } from "./reference.ts";
import { resourceTypes, runTranslate, translateFloor } from "./translate.ts";
import { runWire, wireFloor } from "./wire.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { only: { type: "string" }, details: { type: "boolean", default: false } },
});
const suites: Readonly<Record<string, () => Promise<void> | void>> = { wire, live, translate };
for (const name of positionals.length === 0 ? ["wire", "live"] : positionals) {
  const suite = suites[name];
  if (suite === undefined) {
    process.stderr.write(`unknown suite ${name}; there are ${Object.keys(suites).join(", ")}\n`);
    process.exitCode = 2;
  } else await suite();
}

async function wire(): Promise<void> {
  const problem = wireProblem();
  if (problem !== undefined) return print(`skipped: ${problem}`);
  const result = await runWire(values.only);
  if (values.details) print(result.details);
  if (result.total === 0) print(result.details);
  for (const [group, names] of Object.entries(Object.groupBy(result.differing, groupOf))) {
    print(`${group}: ${(names ?? []).map((name) => name.replace(`${group}: `, "")).join("; ")}`);
  }
  if (result.proxyLog !== "") print(`the proxy served nothing:\n${result.proxyLog.trimEnd()}`);
  print(`${result.agreed} of ${result.total} cases agree`);
  if (values.only === undefined && result.agreed < wireFloor) fail(`fewer than the floor of ${wireFloor}`);
}

async function live(): Promise<void> {
  if (liveProblem !== undefined) return print(`skipped: ${liveProblem}`);
  const outcomes = await runLive(values.only, listedDifferences("live"));
  const differing = outcomes.filter(({ envoy, isthmus }) => envoy !== isthmus);
  const listed = listedDifferences("live");
  for (const { name, envoy, isthmus } of differing) {
    print(`${name}${listed.has(name) ? "" : "   NOT LISTED in differences.md"}`);
    if (values.details) print(`--- envoy\n${envoy}\n--- isthmus\n${isthmus}\n`);
  }
  print(`${outcomes.length - differing.length} of ${outcomes.length} cases agree`);
  if (differing.some(({ name }) => !listed.has(name))) fail("a difference without a reason");
}

function translate(): void {
  const problem = translateProblem();
  if (problem !== undefined) return print(`skipped: ${problem}`);
  const nodes = runTranslate().filter(({ scenario, node }) => `${scenario}/${node}`.includes(values.only ?? ""));
  print(["scenario/node".padEnd(34), ...resourceTypes.map((type) => type.padStart(11))].join(""));
  for (const { scenario, node, types, failure } of nodes) {
    print([`${scenario}/${node}`.padEnd(34), ...resourceTypes.map((type) => share([types[type]]).padStart(11))].join(""));
    if (failure !== undefined) print(`    no translation: ${failure}`);
    for (const type of resourceTypes)
      for (const line of types[type].differences) print(`    ${type} ${line}\n        ${reasonOf(line) ?? "NO REASON KNOWN"}`);
  }
  print(["all".padEnd(34), ...resourceTypes.map((type) => share(nodes.map(({ types }) => types[type])).padStart(11))].join(""));
  const all = nodes.flatMap(({ types }) => Object.values(types));
  print(`${share(all)} resources agree`);
  print(notCompared);
  if (values.only === undefined && all.reduce((sum, { agreed }) => sum + agreed, 0) < translateFloor)
    fail(`fewer than the floor of ${translateFloor}`);
}

// Case names read "group: what" or are a few plain words.
function groupOf(name: string): string {
  return /^([\w -]{1,16}): /.exec(name)?.[1] ?? "other";
}

function share(comparisons: readonly { readonly agreed: number; readonly total: number }[]): string {
  const total = comparisons.reduce((sum, comparison) => sum + comparison.total, 0);
  return total === 0 ? "-" : `${comparisons.reduce((sum, comparison) => sum + comparison.agreed, 0)}/${total}`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function fail(why: string): void {
  print(why);
  process.exitCode = 1;
}
