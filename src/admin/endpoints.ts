// The table of admin endpoints: path, what it says, and whether it changes something and so wants POST.
import { logLevels } from "../telemetry/pino-logger.ts";
import type { LogLevel } from "../telemetry/pino-logger.ts";
import type { AdminContext } from "./admin-context.ts";
import { certsJson } from "./certs-page.ts";
import { clustersJson, clustersText } from "./clusters-page.ts";
import { configDump } from "./config-dump-page.ts";
import { listenersJson, listenersText } from "./listeners-page.ts";
import type { Page } from "./page.ts";
import { badRequest, json, text } from "./page.ts";
import { prometheusPage, statsPage } from "./stats-page.ts";

/** One endpoint. */
export interface Endpoint {
  readonly path: string;
  readonly help: string;
  /** Query parameters for /help, name to meaning. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Changes state: POST only. */
  readonly mutates: boolean;
  readonly handle: (context: AdminContext, query: URLSearchParams) => Page | Promise<Page>;
}

const ok = (): Page => text("OK\n");
const formatParameter = { format: "File format to use; One of (text, json)" };
const filterParameters = {
  usedonly: "Only include stats that have been written since start",
  filter: "Regular expression (RE2) for filtering stats",
};

/** Every endpoint but `/` and `/help`, in the order of /help. */
export const endpoints: readonly Endpoint[] = [
  { path: "/certs", help: "print certs on machine", mutates: false, handle: (c) => json(certsJson(c.config().resources, c.wallMs())) },
  {
    path: "/clusters",
    help: "upstream cluster status",
    parameters: formatParameter,
    mutates: false,
    handle: async (context, query) => {
      const views = await context.clusters();
      const viaApi = context.config().source === "mesh";
      return query.get("format") === "json" ? json(clustersJson(views, viaApi)) : text(clustersText(views, viaApi));
    },
  },
  {
    path: "/config_dump",
    help: "dump current configuration, keys redacted",
    parameters: {
      resource: "The resource list to dump, e.g. static_clusters",
      name_regex: "Dump only resources whose names match the regular expression (RE2)",
      include_eds: "Include endpoints",
    },
    mutates: false,
    handle: (context, query) => {
      const dump = configDump(context.config(), {
        resource: query.get("resource") ?? undefined,
        nameRegex: query.get("name_regex") ?? undefined,
        includeEds: query.has("include_eds"),
      });
      return "error" in dump ? badRequest(`${dump.error}\n`) : json(dump.json);
    },
  },
  {
    path: "/debug/ndsz",
    help: "print the name table and the state of the DNS responder",
    parameters: { host: "Only the entry of this host" },
    mutates: false,
    handle: (context, query) => {
      const view = context.dns();
      if (!view) return text("no DNS is answered here\n", 404);
      const host = query.get("host")?.toLowerCase();
      return json(host === undefined ? view : { ...view, table: only(view.table, host), ports: only(view.ports, host) });
    },
  },
  {
    path: "/drain_listeners",
    help: "drain listeners",
    parameters: {
      graceful: "Tell connections to go elsewhere before closing listeners",
      inboundonly: "Drain listeners of inbound traffic only",
    },
    mutates: true,
    handle: (context, query) => {
      context.drainListeners({ graceful: query.has("graceful"), inboundOnly: query.has("inboundonly") });
      return ok();
    },
  },
  {
    path: "/explain",
    help: "say where a request would go and why",
    parameters: {
      url: "The request: URL or HOST[:PORT][/PATH]",
      method: "Its method, GET unless given",
      header: "'name: value' of it; may be repeated",
      tcp: "A TCP connection whose protocol is neither HTTP nor TLS",
      sni: "In place of url: a ClientHello with this server name",
      alpn: "The protocols it offers",
      port: "The port it arrives at",
      ...formatParameter,
    },
    mutates: false,
    handle: async (context, query) => {
      const answer = await context.explain({
        method: query.get("method") ?? undefined,
        target: query.get("url") ?? undefined,
        headers: query.getAll("header"),
        tcp: query.has("tcp"),
        sni: query.get("sni") ?? undefined,
        alpn: query.get("alpn") ?? undefined,
        port: query.get("port") ?? undefined,
      });
      if ("problem" in answer) return badRequest(`${answer.problem}\n`);
      return query.get("format") === "json" ? json(answer.explanation) : text(answer.text);
    },
  },
  {
    path: "/healthcheck/fail",
    help: "cause the server to fail health checks",
    mutates: true,
    handle: (context) => {
      context.failHealthChecks(true);
      return ok();
    },
  },
  {
    path: "/healthcheck/ok",
    help: "cause the server to pass health checks",
    mutates: true,
    handle: (context) => {
      context.failHealthChecks(false);
      return ok();
    },
  },
  {
    path: "/listeners",
    help: "print listener info",
    parameters: formatParameter,
    mutates: false,
    handle: async (context, query) => {
      const views = await context.listeners();
      return query.get("format") === "json" ? json(listenersJson(views)) : text(listenersText(views));
    },
  },
  {
    path: "/logging",
    help: "query/change logging levels",
    parameters: { level: `desired logging level; One of (${logLevels.join(", ")})` },
    mutates: true,
    handle: (context, query) => {
      const asked = query.get("level");
      const level = asked === "warn" ? "warning" : asked;
      if (level !== null && level !== "") {
        if (!isLogLevel(level)) return badRequest(`usage: /logging?level=<level>, one of (${logLevels.join(", ")})\n`);
        context.setLogLevel(level);
      }
      return text(`active loggers:\n  isthmus: ${context.logLevel()}\n`);
    },
  },
  {
    path: "/quitquitquit",
    help: "exit the server",
    mutates: true,
    handle: (context) => {
      context.quit();
      return ok();
    },
  },
  {
    path: "/ready",
    help: "print server state, return 200 if LIVE, otherwise return 503",
    mutates: false,
    handle: (context) => text(`${context.state()}\n`, context.state() === "LIVE" ? 200 : 503),
  },
  {
    path: "/reopen_logs",
    help: "reopen access logs",
    mutates: true,
    handle: (context) => {
      context.reopenLogs();
      return ok();
    },
  },
  {
    path: "/reset_counters",
    help: "reset all counters to zero",
    mutates: true,
    handle: (context) => {
      context.reader.resetCounters();
      return ok();
    },
  },
  { path: "/server_info", help: "print server version/status information", mutates: false, handle: (context) => json(serverInfo(context)) },
  {
    path: "/stats",
    help: "print server stats",
    parameters: {
      ...filterParameters,
      format: "Format to use; One of (text, json, prometheus)",
      type: "Stat types to include.; One of (All, Counters, Histograms, Gauges)",
    },
    mutates: false,
    handle: statsPage,
  },
  {
    path: "/stats/prometheus",
    help: "print server stats in prometheus format",
    parameters: filterParameters,
    mutates: false,
    handle: prometheusPage,
  },
];

const isLogLevel = (text: string): text is LogLevel => (logLevels as readonly string[]).includes(text);

function serverInfo(context: AdminContext): unknown {
  const uptime = `${Math.floor(context.uptimeMs() / 1000)}s`;
  const { locality, ...node } = context.node();
  return {
    version: context.version,
    state: context.state(),
    uptime_current_epoch: uptime,
    uptime_all_epochs: uptime,
    hot_restart_version: "disabled",
    command_line_options: context.options,
    node: { ...node, locality: { region: locality.region, zone: locality.zone, sub_zone: locality.subZone } },
  };
}

/** The text of /help. */
export function helpText(): string {
  const lines = ["admin commands are:", "  /: Admin home page"];
  const all: Omit<Endpoint, "handle">[] = [...endpoints, { path: "/help", help: "print out list of admin commands", mutates: false }];
  for (const { path, help, mutates, parameters } of all.sort((a, b) => (a.path < b.path ? -1 : 1))) {
    lines.push(`  ${path}${mutates ? " (POST)" : ""}: ${help}`);
    for (const [name, meaning] of Object.entries(parameters ?? {})) lines.push(`      ${name}: ${meaning}`);
  }
  return `${lines.join("\n")}\n`;
}

/** The home page: a link for what can be looked at, a button for what changes something. */
export function homePage(): Page {
  const rows = endpoints.map(({ path, help, mutates }) => {
    const action = mutates
      ? `<form action="${path.slice(1)}" method="post"><button>${path.slice(1)}</button></form>`
      : `<a href="${path.slice(1)}">${path.slice(1)}</a>`;
    return `<tr><td>${action}</td><td>${help}</td></tr>`;
  });
  const body = `<!DOCTYPE html>\n<html lang="en">\n<head><title>isthmus admin</title></head>\n<body>\n<table>\n${rows.join("\n")}\n</table>\n</body>\n</html>\n`;
  return { status: 200, contentType: "text/html; charset=UTF-8", body };
}

function only(record: Readonly<Record<string, unknown>>, key: string): Readonly<Record<string, unknown>> {
  return Object.hasOwn(record, key) ? { [key]: record[key] } : {};
}
