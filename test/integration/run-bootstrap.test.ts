// `isthmus run -c FILE` on real sockets: serving, reloading, draining, ending.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { exchange, startEcho, startProxyProcess, temporaryFolder, writeTcpBootstrap } from "./run-process.ts";
import type { RunningProxy } from "./run-process.ts";

interface Served {
  readonly proxy: RunningProxy;
  readonly file: string;
  readonly log: string;
  readonly upstream: number;
  readonly port: number;
}

async function serve(t: TestContext, ...args: readonly string[]): Promise<Served> {
  const folder = temporaryFolder(t);
  const file = join(folder, "bootstrap.yaml");
  const log = join(folder, "access.log");
  const upstream = await startEcho(t);
  writeTcpBootstrap(file, { upstream, log });
  const proxy = await startProxyProcess(t, "-c", file, ...args);
  return { proxy, file, log, upstream, port: await proxy.port("tcp") };
}

async function until(holds: () => Promise<boolean> | boolean, what: string): Promise<void> {
  for (const end = Date.now() + 10_000; !(await holds());) {
    assert.ok(Date.now() < end, `timed out: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

suite("isthmus run -c", { concurrency: 2, timeout: 120_000 }, () => {
  test("relays, counts over two workers, and logs one line a connection", async (t) => {
    const { proxy, port, log, upstream } = await serve(t, "--concurrency", "2");
    const connections = 20;
    const answers = await Promise.all(Array.from({ length: connections }, (_, i) => exchange(port, `hello ${i}`)));
    assert.deepEqual(
      answers,
      Array.from({ length: connections }, (_, i) => `hello ${i}`),
    );
    await until(async () => (await proxy.stat("tcp.t.downstream_cx_total")) === connections, "stats");
    assert.equal(await proxy.stat("cluster.echo.upstream_cx_total"), connections);
    assert.equal(await proxy.stat("server.concurrency"), 2);
    await until(() => readFileSync(log, "utf8").split("\n").length > connections, "access log");
    const lines = readFileSync(log, "utf8").trimEnd().split("\n").sort();
    const expected = (bytes: number): string => `- 0 - ${bytes} ${bytes} 127.0.0.1:${upstream} echo`;
    assert.deepEqual(lines, [...Array.from({ length: 10 }, () => expected(7)), ...Array.from({ length: 10 }, () => expected(8))]);
    assert.match(await proxy.page("/stats/prometheus"), /^envoy_cluster_upstream_cx_total\{envoy_cluster_name="echo"\} 20$/m);
    assert.match(await proxy.page("/clusters"), new RegExp(`^echo::127\\.0\\.0\\.1:${upstream}::cx_total::20$`, "m"));
    const dump = JSON.parse(await proxy.page("/config_dump")) as { configs: { static_clusters?: { cluster: { name: string } }[] }[] };
    assert.equal(dump.configs.find((config) => config.static_clusters)?.static_clusters?.[0]?.cluster.name, "echo");
  });

  test("a broken file keeps the running configuration and says where it is broken; the repaired one is taken without a signal", async (t) => {
    const { proxy, port, file, log, upstream } = await serve(t, "--concurrency", "1");
    const good = readFileSync(file, "utf8");
    writeFileSync(file, good.replace("stat_prefix: t", "stat_prefix: t\n          no_such_field: 1"));
    proxy.child.kill("SIGHUP");
    await proxy.saw(/bootstrap\.yaml:11:\d+ .*no_such_field/);
    assert.ok((await proxy.stat("server.config_reload_failed")) >= 1);
    assert.equal(await exchange(port, "still"), "still");
    writeTcpBootstrap(file, { upstream, log, statPrefix: "renamed" });
    await until(async () => (await proxy.stat("server.config_reload_success")) >= 1, "reload");
    assert.equal(await proxy.port("tcp"), port, "the port that the kernel chose stays");
    assert.equal(await exchange(port, "again"), "again");
    await until(async () => (await proxy.stat("tcp.renamed.downstream_cx_total")) === 1, "stats of the new configuration");
  });

  test("a reload leaves open connections alone", async (t) => {
    const { proxy, port, file } = await serve(t, "--concurrency", "1");
    const socket = connect(port, "127.0.0.1");
    socket.write("one");
    await once(socket, "data");
    writeFileSync(file, `${readFileSync(file, "utf8")}  - {name: other, load_assignment: {cluster_name: other}}\n`);
    await until(async () => /^other::/m.test(await proxy.page("/clusters")), "reload");
    socket.write("two");
    const [data] = (await once(socket, "data")) as [Buffer];
    assert.equal(data.toString(), "two");
    socket.destroy();
  });

  test("SIGTERM on an idle proxy ends it with 0", async (t) => {
    const { proxy } = await serve(t, "--concurrency", "1");
    proxy.child.kill("SIGTERM");
    assert.equal(await proxy.exited, 0, proxy.output());
  });

  test("SIGTERM waits for a connection to end and writes its record", async (t) => {
    const { proxy, port, log } = await serve(t, "--concurrency", "1", "--drain-time-s", "60");
    const socket = connect(port, "127.0.0.1");
    socket.write("one");
    await once(socket, "data");
    proxy.child.kill("SIGTERM");
    await until(async () => (await proxy.page("/ready")) === "DRAINING\n", "draining");
    // New connections are refused once draining has closed the socket; the open one goes on.
    await until(() => refused(port), "listener closed");
    socket.write("two");
    await once(socket, "data");
    socket.end();
    assert.equal(await proxy.exited, 0, proxy.output());
    assert.match(readFileSync(log, "utf8"), /^- 0 - 6 6 /m);
  });

  test("the drain time bounds the wait, and a second signal ends it at once", async (t) => {
    const bounded = await serve(t, "--concurrency", "1", "--drain-time-s", "0.3");
    const held = connect(bounded.port, "127.0.0.1").on("error", () => undefined);
    held.write("x");
    await once(held, "data");
    bounded.proxy.child.kill("SIGTERM");
    assert.equal(await bounded.proxy.exited, 0, bounded.proxy.output());
    assert.match(bounded.proxy.output(), /connections are closed before they ended/);

    const twice = await serve(t, "--concurrency", "1", "--drain-time-s", "600");
    const other = connect(twice.port, "127.0.0.1").on("error", () => undefined);
    other.write("x");
    await once(other, "data");
    twice.proxy.child.kill("SIGTERM");
    await until(async () => (await twice.proxy.page("/ready")) === "DRAINING\n", "draining");
    twice.proxy.child.kill("SIGTERM");
    assert.equal(await twice.proxy.exited, 0, twice.proxy.output());
  });

  test("POST /quitquitquit ends it with 0", async (t) => {
    const { proxy } = await serve(t, "--concurrency", "1");
    assert.equal(await proxy.page("/quitquitquit", "POST"), "OK\n");
    assert.equal(await proxy.exited, 0, proxy.output());
  });
});

async function refused(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  return new Promise((resolve) => {
    socket.on("error", () => resolve(true));
    socket.on("connect", () => {
      socket.destroy();
      resolve(false);
    });
  });
}
