// The bench's one table, and the same as JSON.
import type { Contender } from "./contender/contender.ts";
import type { Figure, Outcome } from "./measure.ts";

const subject = "isthmus";

/** Draws the table: a block a benchmark, a line a proxy, isthmus' ratio to each peer. */
export function formatTable(outcomes: readonly Outcome[], skipped: readonly Contender[]): string {
  const lines: string[] = [];
  for (const { benchmark, figures } of outcomes) {
    const own = figures.find(({ contender }) => contender === subject)?.cpu;
    const bulk = benchmark.unit === "ms/GB";
    const streams = benchmark.streams === undefined ? "" : ` of ${benchmark.streams} streams`;
    const limit = benchmark.limit === undefined ? "" : `, at most ${benchmark.limit} of Envoy's`;
    lines.push("", `${benchmark.name}: ${benchmark.title}, ${benchmark.connections} connections${streams}${limit}`);
    lines.push(row("", `CPU ${benchmark.unit}`, bulk ? "MB/s" : "a second", "spread", `${subject} / peer`));
    for (const figure of figures) {
      if (figure.cpu === undefined || figure.rate === undefined) {
        lines.push(`  ${figure.contender.padEnd(9)} failed: ${figure.failure ?? "no figure"}`);
        continue;
      }
      const ratio = own === undefined || figure.contender === subject ? "" : (own / figure.cpu).toFixed(2);
      const rate = bulk ? (figure.rate / 1e6).toFixed(0) : figure.rate.toFixed(0);
      lines.push(row(figure.contender, figure.cpu.toFixed(1), rate, spread(figure), ratio));
    }
  }
  const disturbed = outcomes.flatMap(({ benchmark, figures }) =>
    figures
      .filter((figure) => figure.disturbed > 0)
      .map(
        (figure) =>
          `${benchmark.name}, ${figure.contender}: something else used its core in ${figure.disturbed} of ${figure.rounds.length} rounds`,
      ),
  );
  if (disturbed.length > 0) lines.push("", "not to be relied on, run again on a quiet machine:", ...disturbed.map((line) => `  ${line}`));
  if (skipped.length > 0) lines.push("", ...skipped.map(({ name, missing }) => `skipped ${name}: ${missing}`));
  return `${lines.join("\n")}\n`;
}

/** What `--json` prints. */
export function toJson(outcomes: readonly Outcome[], contenders: readonly Contender[], machine: unknown): object {
  return {
    machine,
    contenders: contenders.map(({ name, version, missing }) => ({ name, version, ...(missing === undefined ? {} : { skipped: missing }) })),
    benchmarks: outcomes.map(({ benchmark, figures }) => {
      const own = figures.find(({ contender }) => contender === subject)?.cpu;
      return {
        ...benchmark,
        figures: figures.map((figure) => ({
          ...figure,
          ...(own !== undefined && figure.cpu !== undefined && figure.contender !== subject ? { ratio: own / figure.cpu } : {}),
        })),
      };
    }),
  };
}

function row(name: string, cpu: string, rate: string, range: string, ratio: string): string {
  return `  ${name.padEnd(9)}${cpu.padStart(18)}${rate.padStart(12)}${range.padStart(18)}${ratio.padStart(16)}`.trimEnd();
}

function spread({ rounds }: Figure): string {
  return rounds.length > 1 ? `${Math.min(...rounds).toFixed(1)}-${Math.max(...rounds).toFixed(1)}` : "";
}
