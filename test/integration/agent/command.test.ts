import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { suite, test } from "node:test";
import { exchange, isthmus, temporaryFolder } from "../run-process.ts";
import { launchSidecar, type Sidecar, startSidecar } from "./agent-process.ts";

const node = process.execPath;

/** A command that says its signals, and ends in time should the test lose it. */
const listening = `for (const name of ["SIGTERM", "SIGHUP", "SIGUSR2"]) process.on(name, () => console.log("got " + name));
setTimeout(() => process.exit(99), 60_000);
console.log("listening");`;

async function readiness(sidecar: Sidecar): Promise<{ status: number; body: string }> {
  const response = await fetch(`http://${sidecar.health}/healthz/ready`);
  return { status: response.status, body: await response.text() };
}

async function refused(port: number): Promise<void> {
  for (const end = Date.now() + 10_000; ;) {
    const socket = connect(port, "127.0.0.1");
    const outcome = await Promise.race([once(socket, "connect").then(() => "open"), once(socket, "error").then(() => "refused")]).catch(
      () => "refused",
    );
    socket.destroy();
    if (outcome === "refused") return;
    assert.ok(Date.now() < end, `port ${port} still accepts`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

suite("isthmus run -- COMMAND", () => {
  test("starts the command when traffic is served, passes its output on and exits with its code", async (t) => {
    const script = `console.log("arguments " + process.argv.slice(1)); process.exitCode = 7`;
    const sidecar = await launchSidecar(t, { command: [node, "-e", script, "--", "--flag", "a b"] });
    await sidecar.saw(/arguments --flag,a b/);
    assert.equal(await sidecar.exited, 7);
    assert.ok(sidecar.output().indexOf("started") < sidecar.output().indexOf("arguments"), sidecar.output());
  });

  test("a command that a signal ended gives 128 and the signal's number", async (t) => {
    const sidecar = await launchSidecar(t, { command: [node, "-e", "process.kill(process.pid, 'SIGKILL')"] });
    assert.equal(await sidecar.exited, 128 + 9);
  });

  test("a program that is not there ends with 127, a file that is none with 126", async (t) => {
    const file = join(temporaryFolder(t), "no-program");
    const missing = await launchSidecar(t, { command: [file] });
    assert.equal(await missing.exited, 127);
    assert.match(missing.output(), /no-program: there is no such program/);
    writeFileSync(file, "", { mode: 0o644 });
    const plain = await launchSidecar(t, { command: [file] });
    assert.equal(await plain.exited, 126);
    assert.match(plain.output(), /no-program: no permission to run it/);
  });

  test("signals reach the command, and SIGTERM drains: not ready, no new inbound, outbound until the command has ended", async (t) => {
    const sidecar = await startSidecar(t, { command: [node, "-e", listening] });
    await sidecar.saw(/^listening/m);
    assert.deepEqual(await readiness(sidecar), { status: 200, body: "" });
    sidecar.child.kill("SIGHUP");
    await sidecar.saw(/got SIGHUP/);
    sidecar.child.kill("SIGUSR2");
    await sidecar.saw(/got SIGUSR2/);
    assert.equal(await exchange(sidecar.inbound, "in"), "in");

    sidecar.child.kill("SIGTERM");
    await sidecar.saw(/got SIGTERM/);
    await refused(sidecar.inbound);
    assert.deepEqual(await readiness(sidecar), { status: 503, body: "draining\n" });
    assert.equal(await exchange(sidecar.outbound, "out"), "out", "the application's own calls still work");
    assert.ok(sidecar.child.exitCode === null, "it waits for the command");
    sidecar.child.kill("SIGQUIT");
    assert.equal(await sidecar.exited, 128 + 3);
  });

  test("a job that calls through the proxy and ends, ends the proxy, well before the drain time", async (t) => {
    const job = `setTimeout(() => console.log("job done"), 100)`;
    const before = performance.now();
    const sidecar = await launchSidecar(t, { command: [node, "-e", job], flags: ["--drain-time-s", "600"] });
    assert.equal(await sidecar.exited, 0);
    assert.match(sidecar.output(), /job done/);
    assert.ok(performance.now() - before < 60_000);
  });

  test("when the proxy is told to quit, the command is told to end and still decides the code", async (t) => {
    const sidecar = await startSidecar(t, {
      command: [node, "-e", `${listening} process.on("SIGTERM", () => process.exit(3));`],
    });
    await sidecar.saw(/^listening/m);
    const answer = await fetch(`http://${sidecar.status}/quitquitquit`, { method: "POST" });
    assert.equal(answer.status, 200);
    assert.equal(await sidecar.exited, 3);
  });

  test("a proxy that cannot start starts no command", async (t) => {
    const folder = temporaryFolder(t);
    const mark = join(folder, "started");
    const running = isthmus(t, "run", "-c", join(folder, "nothing.yaml"), "--", "touch", mark);
    assert.equal(await running.exited, 1);
    assert.ok(!existsSync(mark));
  });
});
