// Runs the cases of a filter: builds the bootstrap, asks one proxy or another, and tells what came of each request.
import { bootstrap, cluster, httpListener, startTestProxy, type Ending } from "../proxy.ts";
import { connectRaw, hasResponses, listenHttp, reply } from "../raw-http.ts";
import type { FilterCase, FilterTable } from "./case.ts";

/** What came of one request. */
export interface Outcome {
  readonly status: number;
  /** Lines of head and body, without what differs from one run to the next. */
  readonly lines: readonly string[];
}

/** A proxy that serves a table's listener. */
export interface Served {
  port(listener: string): number;
  accessLog(count: number): Promise<readonly Record<string, unknown>[]>;
  post(path: string): Promise<void>;
}

/** An origin that answers with the request as it got it, and the bootstrap of a table with it. */
export async function tableBootstrap(t: Ending, table: FilterTable): Promise<object> {
  const origin = await listenHttp(({ line, fields, body, socket }) =>
    reply(socket, [line, ...fields, "", body].join("\r\n"), "200 OK", "x-origin: yes\r\n"),
  );
  t.after(() => origin.close());
  const router = { name: "router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } };
  const hosts = [{ name: "all", domains: ["*"], routes: table.routes, ...table.virtualHost }];
  const manager = {
    http_filters: [...table.filters, router],
    route_config: { name: "in", virtual_hosts: hosts, ...table.routeConfig },
    // Nothing that is made by chance.
    generate_request_id: false,
    ...table.manager,
  };
  const listener = JSON.stringify(httpListener("in", { manager }));
  // The access log is written in place: its format is the usual one and the table's.
  const logged = listener.replace(
    '"json_format":{',
    `"json_format":{${Object.entries(table.log ?? {})
      .map(([key, text]) => `${JSON.stringify(key)}:${JSON.stringify(text)},`)
      .join("")}`,
  );
  return {
    node: { id: "node", cluster: "my-cluster" },
    ...bootstrap([JSON.parse(logged) as object], [cluster("origin", origin.port), ...(table.clusters ?? [])]),
  };
}

/** Asks everything in turn, a connection each. */
export async function askAll(served: Served, cases: readonly FilterCase[]): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const { request, admin } of cases) {
    if (admin !== undefined) await served.post(admin);
    const client = await connectRaw(served.port("in"));
    client.socket.write(request, "latin1");
    const received = await client.until(hasResponses(1));
    client.socket.destroy();
    outcomes.push(outcomeOf(received));
  }
  return outcomes;
}

const passing = /^(?:date|x-envoy-upstream-service-time):/;

function outcomeOf(received: string): Outcome {
  const lines = received.split("\r\n").filter((line) => !passing.test(line));
  return { status: Number(lines[0]?.split(" ")[1]), lines };
}

/** This proxy with a bootstrap. */
export async function serveHere(t: Ending, bootstrap: object): Promise<Served & { stat(name: string): number }> {
  const { proxy, port, accessLog, stat } = await startTestProxy(t, {
    ...bootstrap,
    admin: { address: { socket_address: { address: "127.0.0.1", port_value: 0 } } },
  });
  return {
    port,
    accessLog,
    stat,
    post: async (path) => void (await fetch(`http://127.0.0.1:${proxy.admin?.port}${path}`, { method: "POST" })),
  };
}
