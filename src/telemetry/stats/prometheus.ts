// Stats as text: Prometheus exposition as Envoy writes it, Envoy's `/stats` lines, and its JSON.
import { estimateQuantile, histogramBounds } from "./histogram.ts";
import type { HistogramValue } from "./histogram.ts";
import { extractTags } from "./stat-tags.ts";
import type { StatTag } from "./stat-tags.ts";
import type { StatValue } from "./stats-reader.ts";

const sanitise = (name: string): string => name.replace(/[^a-zA-Z0-9_]/g, "_");
/** A label's value as it stands between quotes. */
export const escapeLabel = (value: string): string => value.replace(/[\\"\n]/g, (c) => (c === "\n" ? "\\n" : `\\${c}`));
const labels = (tags: readonly StatTag[]): string => tags.map((tag) => `${sanitise(tag.name)}="${escapeLabel(tag.value)}"`).join(",");

/** The quantiles of Envoy's `/stats`. */
const quantiles = [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100];

/** Prometheus text: counters, then gauges, then histograms, each family once with its `# TYPE` line. */
export function renderPrometheus(stats: readonly StatValue[], clusterNames: ReadonlySet<string>): string {
  const out: string[] = [];
  for (const kind of ["counter", "gauge", "histogram"] as const) {
    const families = new Map<string, string[]>();
    for (const stat of stats) {
      if (stat.kind !== kind) continue;
      const { family, tags } = seriesOf(stat.name, clusterNames);
      let lines = families.get(family);
      if (!lines) families.set(family, (lines = []));
      if (stat.kind === "histogram") pushHistogram(lines, family, tags, stat.value);
      else lines.push(`${family}{${tags}} ${stat.value}`);
    }
    for (const [family, lines] of families) out.push(`# TYPE ${family} ${kind}`, ...lines);
  }
  return out.length === 0 ? "" : `${out.join("\n")}\n`;
}

// Istio's metrics (istio/series.ts) carry their labels in their names.
function seriesOf(name: string, clusterNames: ReadonlySet<string>): { readonly family: string; readonly tags: string } {
  const brace = name.startsWith("istio_") ? name.indexOf("{") : -1;
  if (brace > 0) return { family: name.slice(0, brace), tags: name.slice(brace + 1, -1) };
  const tagged = extractTags(name, clusterNames);
  return { family: `envoy_${sanitise(tagged.name)}`, tags: labels(tagged.tags) };
}

function pushHistogram(lines: string[], family: string, tags: string, value: HistogramValue): void {
  const prefix = tags === "" ? "" : `${tags},`;
  let cumulative = 0;
  for (const [i, bound] of histogramBounds.entries()) {
    cumulative += value.buckets[i]!;
    lines.push(`${family}_bucket{${prefix}le="${bound}"} ${cumulative}`);
  }
  lines.push(
    `${family}_bucket{${prefix}le="+Inf"} ${value.count}`,
    `${family}_sum{${tags}} ${value.sum}`,
    `${family}_count{${tags}} ${value.count}`,
  );
}

/** Envoy's `/stats`: `name: value` lines, counters and gauges by name, then histograms. */
export function renderStatsText(stats: readonly StatValue[]): string {
  let text = "";
  for (const stat of stats) if (stat.kind !== "histogram") text += `${stat.name}: ${stat.value}\n`;
  for (const stat of stats) if (stat.kind === "histogram") text += `${stat.name}: ${summary(stat.value)}\n`;
  return text;
}

function summary(value: HistogramValue): string {
  if (value.count === 0) return "No recorded values";
  return quantiles.map((quantile) => `P${quantile}(nan,${rounded(value, quantile)})`).join(" ");
}

const rounded = (value: HistogramValue, quantile: number): number => Number(estimateQuantile(value, quantile / 100).toPrecision(6));

/** Envoy's `/stats?format=json`. */
export function renderStatsJson(stats: readonly StatValue[]): string {
  const simple: unknown[] = [];
  const computed: unknown[] = [];
  for (const stat of stats) {
    if (stat.kind !== "histogram") simple.push({ name: stat.name, value: stat.value });
    else {
      computed.push({
        name: stat.name,
        values: quantiles.map((quantile) => ({
          interval: null,
          cumulative: stat.value.count === 0 ? null : rounded(stat.value, quantile),
        })),
      });
    }
  }
  if (computed.length > 0) simple.push({ histograms: { supported_quantiles: quantiles, computed_quantiles: computed } });
  return JSON.stringify({ stats: simple });
}
