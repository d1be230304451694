// `/stats` and `/stats/prometheus`: which stats, in which format.
import { compileRegex } from "../regex.ts";
import { renderPrometheus, renderStatsJson, renderStatsText } from "../telemetry/stats/prometheus.ts";
import type { StatValue } from "../telemetry/stats/stats-reader.ts";
import type { AdminContext } from "./admin-context.ts";
import { certificateMetrics } from "./certificate-metrics.ts";
import type { Page } from "./page.ts";
import { badRequest, json, text } from "./page.ts";

const kinds: Readonly<Record<string, StatValue["kind"] | "all">> = {
  All: "all",
  Counters: "counter",
  Gauges: "gauge",
  Histograms: "histogram",
};

/** Envoy's `/stats`. */
export function statsPage(context: AdminContext, query: URLSearchParams): Page {
  const format = query.get("format") ?? "text";
  if (format !== "text" && format !== "json" && format !== "prometheus")
    return badRequest("usage: /stats?format=(json|prometheus|text)\n\n");
  const stats = select(context.reader.list(), query);
  if ("error" in stats) return badRequest(`${stats.error}\n`);
  if (format === "json") return json(renderStatsJson(stats.selected));
  if (format === "prometheus") return prometheus(context, stats.selected, query);
  return text(renderStatsText(stats.selected));
}

/** Envoy's `/stats/prometheus`. */
export function prometheusPage(context: AdminContext, query: URLSearchParams): Page {
  const stats = select(context.reader.list(), query);
  return "error" in stats ? badRequest(`${stats.error}\n`) : prometheus(context, stats.selected, query);
}

function prometheus(context: AdminContext, stats: readonly StatValue[], query: URLSearchParams): Page {
  const { resources } = context.config();
  // Stats carry cluster names with their colons replaced.
  const names = new Set(resources.clusters.flatMap(({ name, altStatName }) => [name, (altStatName || name).replaceAll(":", "_")]));
  // Not one of the stats that are counted: it is read off the certificates when somebody asks, unless for something else.
  const certificates = query.has("filter") ? "" : certificateMetrics(resources, context.wallMs());
  return {
    status: 200,
    contentType: "text/plain; version=0.0.4; charset=utf-8",
    body: `${renderPrometheus(stats, names)}${certificates}`,
  };
}

function select(
  stats: readonly StatValue[],
  query: URLSearchParams,
): { readonly selected: readonly StatValue[] } | { readonly error: string } {
  const type = query.get("type") ?? "All";
  const kind = Object.hasOwn(kinds, type) ? kinds[type] : undefined;
  if (kind === undefined) return { error: "usage: type must be one of All, Counters, Gauges, Histograms" };
  const pattern = query.get("filter");
  const regex = pattern === null ? undefined : compileRegex(`(?s).*(?:${pattern}).*`);
  if (regex && "error" in regex) return { error: "Invalid re2 regex" };
  const usedOnly = query.has("usedonly");
  const selected = stats.filter(
    (stat) => (!usedOnly || stat.used) && (kind === "all" || stat.kind === kind) && (!regex || regex.matches(stat.name)),
  );
  return { selected };
}
