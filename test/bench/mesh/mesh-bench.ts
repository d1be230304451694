// `npm run bench -- mesh`: a sidecar over a big mesh directory, in a network namespace that an ordinary user may make as well.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** What the bench runs with. */
export interface MeshSettings {
  readonly services: number;
}

/** What it measured; times in milliseconds. */
export interface MeshFigures {
  readonly readyMs: number;
  readonly firstAnswerMs: number;
  readonly rssAtStart: number;
  readonly rssAtEnd: number;
  /** From a file written to the first answer that shows it. */
  readonly newService: readonly number[];
  readonly movedEndpoints: readonly number[];
  /** Latency of requests at a steady rate: without changes, and due within half a second after one. */
  readonly steadyMs: readonly number[];
  readonly duringMs: readonly number[];
  /** The same beside an unrelated process that is busy for as long as the change before it took. */
  readonly besideBusyMs: readonly number[];
  /** CPU time of each change, outside the threads that carry traffic. */
  readonly changeCpuMs: readonly number[];
  readonly failures: readonly string[];
}

/** The figures, or why there are none. */
export type MeshOutcome = { readonly figures: MeshFigures } | { readonly failure: string };

/** Runs it. */
export function runMeshBench(settings: MeshSettings): MeshOutcome {
  const inside = fileURLToPath(new URL("inside.ts", import.meta.url));
  const command = ["--user", "--map-root-user", "--net", process.execPath, inside, JSON.stringify(settings)];
  const done = spawnSync("unshare", command, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 240_000, maxBuffer: 1 << 28 });
  if (done.status !== 0)
    return { failure: (done.error?.message ?? done.stderr.trim().slice(-2000)) || `ended with ${done.status ?? done.signal}` };
  return { figures: JSON.parse(done.stdout) as MeshFigures };
}

/** Value below which `share` of the values lie. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

/** Draws the figures as lines beside what is to be reached. */
export function formatMesh({ services }: MeshSettings, outcome: MeshOutcome): string {
  const title = `\nmesh: ${services} services x 5 endpoints in 3 clusters, one worker\n`;
  if ("failure" in outcome) return `${title}  failed: ${outcome.failure}\n`;
  const { figures } = outcome;
  const line = (name: string, value: string, goal = ""): string =>
    `  ${name.padEnd(34)}${value.padStart(22)}${goal === "" ? "" : `   ${goal}`}\n`;
  const changes = (values: readonly number[]): string =>
    `${percentile(values, 0.5).toFixed(0)} ms, worst ${Math.max(...values).toFixed(0)}`;
  const [steady, during, control] = [figures.steadyMs, figures.duringMs, figures.besideBusyMs].map((values) =>
    percentile(values, 0.99),
  ) as [number, number, number];
  return [
    title,
    line("ready", `${figures.readyMs.toFixed(0)} ms`, "at most 5000"),
    line("first request answered", `${figures.firstAnswerMs.toFixed(0)} ms`),
    line("RSS when ready", `${(figures.rssAtStart / 1e6).toFixed(0)} MB`),
    line("RSS after the changes", `${(figures.rssAtEnd / 1e6).toFixed(0)} MB`),
    line(`new service live (median of ${figures.newService.length})`, changes(figures.newService), "at most 300"),
    line("endpoints moved live", changes(figures.movedEndpoints), "at most 300"),
    line("p99 of requests, steady", `${steady.toFixed(2)} ms`),
    line("p99 of requests during a change", `${during.toFixed(2)} ms, ${(during / steady).toFixed(1)}x`, "at most 2x"),
    line("p99 beside a process as busy", `${control.toFixed(2)} ms, ${(control / steady).toFixed(1)}x`),
    line("CPU of a change", `${percentile(figures.changeCpuMs, 0.5).toFixed(0)} ms, worst ${Math.max(...figures.changeCpuMs).toFixed(0)}`),
    line(
      "requests that failed",
      `${figures.failures.length} of ${figures.steadyMs.length + figures.duringMs.length + figures.besideBusyMs.length}`,
      "0",
    ),
    ...[...new Set(figures.failures)].slice(0, 5).map((reason) => `    ${reason}\n`),
  ].join("");
}
