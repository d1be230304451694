// `isthmus run` as a process of its own: started, watched by its output and its admin page, ended.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

/** A process and what it has said. */
export interface Running {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  output(): string;
  /** Resolves when standard error has matched; fails when the process ends before. */
  saw(pattern: RegExp): Promise<RegExpExecArray>;
}

/** Runs the program; it is killed when the test ends. */
export function isthmus(t: TestContext, ...args: readonly string[]): Running {
  return isthmusWith(t, {}, args);
}

/**
 * Runs the program with variables on top of this process' environment; it is killed when the test ends.
 * @param before a command that runs the one after it, as `prlimit` does
 */
export function isthmusWith(
  t: TestContext,
  environment: Readonly<Record<string, string>>,
  args: readonly string[],
  before: readonly string[] = [],
): Running {
  const env = { ...process.env, ...environment };
  const [file = "", ...rest] = [...before, process.execPath, program, ...args];
  const child = spawn(file, rest, { stdio: ["ignore", "pipe", "pipe"], env });
  t.after(() => child.kill("SIGKILL"));
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const exited = once(child, "close").then(([code]) => code as number | null);
  const saw = async (pattern: RegExp): Promise<RegExpExecArray> => {
    let ended = false;
    void exited.then(() => (ended = true));
    for (const end = Date.now() + 60_000; ;) {
      const found = pattern.exec(output);
      if (found) return found;
      assert.ok(!ended && Date.now() < end, `${String(pattern)} not seen in:\n${output}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  return { child, exited, output: () => output, saw };
}

/** A running proxy with its admin page. */
export interface RunningProxy extends Running {
  readonly admin: string;
  /** The body of an admin page. */
  page(path: string, method?: string): Promise<string>;
  stat(name: string): Promise<number>;
  /** The port of a listener. */
  port(listener: string): Promise<number>;
}

/** Runs `isthmus run` with an admin server on a free port, and waits until it serves. */
export async function startProxyProcess(t: TestContext, ...args: readonly string[]): Promise<RunningProxy> {
  return startProxyProcessBy(t, [], ...args);
}

/** The same by way of another command. */
export async function startProxyProcessBy(t: TestContext, before: readonly string[], ...args: readonly string[]): Promise<RunningProxy> {
  const running = isthmusWith(t, {}, ["run", "--admin", "127.0.0.1:0", "--access-log-flush-ms", "10", ...args], before);
  const [, admin = ""] = await running.saw(/started .*admin=(\S+)/);
  const page = async (path: string, method = "GET"): Promise<string> => (await fetch(`http://${admin}${path}`, { method })).text();
  return {
    ...running,
    admin,
    page,
    stat: async (name) => Number(new RegExp(`^${name.replaceAll(".", "\\.")}: (.*)$`, "m").exec(await page("/stats"))?.[1] ?? NaN),
    port: async (listener) => {
      const [, port] = new RegExp(`^${listener}::.*:(\\d+)$`, "m").exec(await page("/listeners")) ?? [];
      assert.ok(port, `listener ${listener} is not there`);
      return Number(port);
    },
  };
}

/** A folder that goes when the test ends. */
export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "isthmus-run-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A server that sends back what it gets; its port. */
export async function startEcho(t: TestContext): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => undefined).on("close", () => sockets.delete(socket)));
    socket.pipe(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Sends `text`, half-closes, and gives what came back. */
export async function exchange(port: number, text: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  let got = "";
  socket.on("data", (chunk: Buffer) => (got += chunk.toString()));
  socket.end(text);
  await once(socket, "close");
  return got;
}

/** A bootstrap with one TCP proxy to `upstream`; listens on `port` and logs to `log`. */
export function writeTcpBootstrap(
  file: string,
  options: { readonly upstream: number; readonly log: string; readonly port?: number; readonly statPrefix?: string },
): void {
  const { upstream, log, port = 0, statPrefix = "t" } = options;
  writeFileSync(
    file,
    `static_resources:
  listeners:
  - name: tcp
    address: {socket_address: {address: 127.0.0.1, port_value: ${port}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: ${statPrefix}
          cluster: echo
          access_log:
          - name: file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: ${log}
              log_format: {text_format_source: {inline_string: "%PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_HOST% %UPSTREAM_CLUSTER%\\n"}}
  clusters:
  - name: echo
    connect_timeout: 1s
    load_assignment:
      cluster_name: echo
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${upstream}}}}}]}]
`,
  );
}
