import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { exchange } from "../run-process.ts";
import { startSidecar } from "./agent-process.ts";

suite("the end of a sidecar beside its application", () => {
  test("after SIGTERM outbound connections are served for the drain time, although none is open", async (t) => {
    const sidecar = await startSidecar(t, { flags: ["--drain-time-s", "600"] });
    sidecar.child.kill("SIGTERM");
    for (const end = Date.now() + 10_000; ;) {
      const response = await fetch(`http://${sidecar.health}/healthz/ready`);
      if (response.status === 503) break;
      assert.ok(Date.now() < end);
    }
    assert.equal(await exchange(sidecar.outbound, "out"), "out");
    assert.equal(sidecar.child.exitCode, null);
    sidecar.child.kill("SIGTERM");
    assert.equal(await sidecar.exited, 0, "a second signal ends it at once");
  });

  test("drained by POST /drain before, it ends at SIGTERM at once: a native sidecar's application has ended then", async (t) => {
    const sidecar = await startSidecar(t, { flags: ["--drain-time-s", "600"] });
    assert.equal((await fetch(`http://${sidecar.status}/drain`)).status, 405);
    assert.equal((await fetch(`http://${sidecar.status}/drain`, { method: "POST" })).status, 200);
    assert.equal(await exchange(sidecar.outbound, "out"), "out");
    sidecar.child.kill("SIGTERM");
    assert.equal(await sidecar.exited, 0);
  });

  test("with EXIT_ON_ZERO_ACTIVE_CONNECTIONS it ends when no connection is left after the minimum", async (t) => {
    const environment = { EXIT_ON_ZERO_ACTIVE_CONNECTIONS: "true", MINIMUM_DRAIN_DURATION: "10ms" };
    const sidecar = await startSidecar(t, { environment, flags: ["--drain-time-s", "600"] });
    sidecar.child.kill("SIGTERM");
    assert.equal(await sidecar.exited, 0);
  });

  test("POST /quitquitquit ends it; a web page elsewhere cannot ask for that", async (t) => {
    const sidecar = await startSidecar(t);
    const quit = `http://${sidecar.status}/quitquitquit`;
    assert.equal((await fetch(quit, { method: "POST", headers: { "sec-fetch-site": "cross-site" } })).status, 403);
    assert.equal((await fetch(quit, { method: "POST" })).status, 200);
    assert.equal(await sidecar.exited, 0);
  });
});
