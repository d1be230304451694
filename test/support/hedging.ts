// Hedged requests over real sockets: an origin whose attempts are scripted, and what a proxy makes of each script.
import { connectRaw, hasResponses, listenHttp } from "./raw-http.ts";
import { bootstrap, cluster, type Ending, httpListener } from "./proxy.ts";

/** What the origin does with one attempt: answers after so many milliseconds, breaks off after them, or nothing at all. */
export type Act = readonly [delayMs: number, status: number | "reset"] | "nothing";

/** A request, what its attempts meet, and what is to come of it. */
export interface HedgeCase {
  readonly title: string;
  readonly path: string;
  readonly acts: readonly Act[];
  /** Of the route. */
  readonly route?: object;
  readonly policy?: object;
  readonly fields?: string;
  readonly body?: string;
  /** Status and which attempt it came from, `-` for the proxy itself. */
  readonly answer: string;
  readonly attempts: number;
  readonly flags?: string;
  readonly details?: string;
  /** What the cluster counts. */
  readonly stats?: Readonly<Record<string, number>>;
}

// The delays lie far enough apart that a slow machine does not change their order.
const perTryMs = 100;
const slow = 900;

/** Who wins, who waits, and what is counted. */
export const hedgeCases: readonly HedgeCase[] = [
  {
    title: "the second attempt is faster",
    path: "/second",
    acts: [
      [slow, 200],
      [0, 200],
    ],
    answer: "200 2",
    attempts: 2,
    stats: { upstream_rq_retry: 1, upstream_rq_retry_success: 1, upstream_rq_per_try_timeout: 0, upstream_rq_2xx: 1, upstream_rq_total: 2 },
  },
  {
    title: "the first attempt goes on and wins",
    path: "/first",
    acts: [[300, 200], "nothing"],
    policy: { num_retries: 1 },
    answer: "200 1",
    attempts: 2,
    flags: "URX",
    stats: { upstream_rq_retry: 1, upstream_rq_retry_success: 0, upstream_rq_2xx: 1 },
  },
  {
    title: "a bad answer waits for a better one",
    path: "/better",
    acts: [
      [250, 503],
      [slow - 300, 200],
    ],
    policy: { num_retries: 1 },
    answer: "200 2",
    attempts: 2,
    flags: "URX",
    stats: { upstream_rq_5xx: 0, upstream_rq_2xx: 1 },
  },
  {
    title: "a connection that breaks off waits, too",
    path: "/broken",
    acts: [
      [250, "reset"],
      [slow - 300, 200],
    ],
    policy: { num_retries: 1 },
    answer: "200 2",
    attempts: 2,
    flags: "URX",
    stats: { upstream_rq_5xx: 1, upstream_rq_2xx: 1 },
  },
  {
    title: "the last bad answer is the client's",
    path: "/bad",
    acts: [
      [250, 503],
      [300, 503],
    ],
    policy: { num_retries: 1 },
    answer: "503 2",
    attempts: 2,
    flags: "URX",
    stats: { upstream_rq_5xx: 1 },
  },
  {
    title: "an answer that is no reason for another attempt",
    path: "/missing",
    acts: [[250, 404], "nothing"],
    policy: { num_retries: 1 },
    answer: "404 1",
    attempts: 2,
    flags: "URX",
    stats: { upstream_rq_4xx: 1 },
  },
  {
    title: "the follower of a hedged attempt is retried",
    path: "/third",
    acts: ["nothing", [0, 503], [0, 200]],
    answer: "200 3",
    attempts: 3,
    stats: { upstream_rq_retry: 2, "retry.upstream_rq_503": 1, upstream_rq_5xx: 0, upstream_rq_2xx: 1 },
  },
  {
    title: "nobody answers",
    path: "/silent",
    acts: ["nothing", "nothing", "nothing"],
    route: { timeout: "0.8s" },
    answer: "504 -",
    attempts: 3,
    flags: "URX,UT",
    details: "response_timeout",
    stats: { upstream_rq_5xx: 3, upstream_rq_timeout: 3, upstream_rq_retry_limit_exceeded: 1 },
  },
  {
    title: "everybody breaks off",
    path: "/down",
    acts: [
      [250, "reset"],
      [300, "reset"],
    ],
    policy: { num_retries: 1 },
    answer: "503 -",
    attempts: 2,
    flags: "URX,UC",
    details: "upstream_reset_before_response_started{connection_termination}",
    stats: { upstream_rq_5xx: 2 },
  },
  {
    title: "conditions for a retry do not matter",
    path: "/conditions",
    acts: [
      [slow, 200],
      [0, 200],
    ],
    policy: { retry_on: "connect-failure" },
    answer: "200 2",
    attempts: 2,
  },
  {
    title: "a body goes with each attempt",
    path: "/body",
    acts: [
      [slow, 200],
      [0, 200],
    ],
    body: "hello",
    answer: "200 2",
    attempts: 2,
  },
  {
    title: "a route without it, and a trusted client that asks",
    path: "/asked",
    acts: [[300, 200], "nothing"],
    route: { hedge_policy: {} },
    policy: { num_retries: 1 },
    fields: "x-envoy-hedge-on-per-try-timeout: true\r\n",
    answer: "200 1",
    attempts: 2,
    flags: "URX",
  },
  {
    title: "a trusted client that asks for none",
    path: "/unasked",
    acts: [
      [300, 200],
      [0, 200],
    ],
    fields: "x-envoy-hedge-on-per-try-timeout: false\r\n",
    answer: "200 2",
    attempts: 2,
    stats: { upstream_rq_per_try_timeout: 1 },
  },
];

/** An origin that follows the scripts, and a bootstrap with a cluster a case. */
export async function hedgeLab(t: Ending): Promise<{ readonly bootstrap: object; attempts(path: string): readonly string[] }> {
  const attempts = new Map<string, string[]>();
  const origin = await listenHttp(({ line, body, socket }) => {
    const path = line.split(" ")[1]!;
    const seen = attempts.get(path) ?? [];
    attempts.set(path, seen);
    seen.push(body);
    const number = seen.length;
    const act = hedgeCases.find((each) => each.path === path)?.acts[number - 1] ?? "nothing";
    if (act === "nothing") return;
    const [delayMs, status] = act;
    const timer = setTimeout(() => {
      if (status === "reset") socket.resetAndDestroy();
      else socket.write(`HTTP/1.1 ${status} X\r\nx-attempt: ${number}\r\ncontent-length: 0\r\n\r\n`);
    }, delayMs);
    socket.on("close", () => clearTimeout(timer));
  });
  t.after(() => origin.close());
  const routes = hedgeCases.map(({ path, route, policy }) => ({
    match: { path },
    route: {
      cluster: path.slice(1),
      timeout: "4s",
      retry_policy: { retry_on: "5xx", num_retries: 2, per_try_timeout: `${perTryMs / 1000}s`, ...policy },
      hedge_policy: { hedge_on_per_try_timeout: true },
      ...route,
    },
  }));
  const manager = {
    use_remote_address: true,
    internal_address_config: { cidr_ranges: [{ address_prefix: "127.0.0.0", prefix_len: 8 }] },
  };
  const host = { name: "all", domains: ["*"], routes, include_attempt_count_in_response: true };
  const listener = httpListener("in", { manager: { ...manager, route_config: { name: "in", virtual_hosts: [host] } } });
  return {
    bootstrap: bootstrap(
      [listener],
      hedgeCases.map(({ path }) => cluster(path.slice(1), origin.port)),
    ),
    attempts: (path) => attempts.get(path) ?? [],
  };
}

/** Asks for everything at once; answers as `HedgeCase.answer`, in order. */
export function askHedged(t: Ending, port: number): Promise<readonly string[]> {
  return Promise.all(
    hedgeCases.map(async ({ path, fields = "", body = "" }) => {
      const client = await connectRaw(port);
      t.after(() => void client.socket.destroy());
      const length = body === "" ? "" : `content-length: ${body.length}\r\n`;
      client.socket.write(`${body === "" ? "GET" : "POST"} ${path} HTTP/1.1\r\nhost: lab\r\n${fields}${length}\r\n${body}`);
      const received = await client.until(hasResponses(1));
      return `${received.split(" ")[1]} ${/^x-attempt: (\d+)/m.exec(received)?.[1] ?? "-"}`;
    }),
  );
}
