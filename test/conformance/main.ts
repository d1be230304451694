// npm run conformance [-- wire|translate] [--only PART] [--details]
// wire (the default): recorded Envoy cases over real sockets. translate: recorded control-plane output per scenario and node.
// Prints why it skips where the recordings or the rights are missing; exit code 1 below the floor.
import { parseArgs } from "node:util";
import { notCompared, reasonOf } from "./known-differences.ts";
import { translateProblem, wireProblem } from "./reference.ts";
import { resourceTypes, runTranslate, translateFloor } from "./translate.ts";
import { runWire, wireFloor } from "./wire.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { only: { type: "string" }, details: { type: "boolean", default: false } },
});
const [mode = "wire"] = positionals;
if (mode === "wire") await wire();
else if (mode === "translate") translate();
else {
  process.stderr.write(`unknown suite ${mode}; there are wire and translate\n`);
  process.exitCode = 2;
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
