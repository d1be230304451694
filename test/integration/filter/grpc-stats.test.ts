// What the gRPC counting filter counts and logs, over real connections.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { callAll, grpcBootstrap, grpcCalls, grpcFrame, grpcTables } from "../../support/filter-cases/grpc.ts";
import { startTestProxy } from "../../support/proxy.ts";

suite("counting gRPC", () => {
  for (const { name, config, stats } of grpcTables) {
    test(name, async (t) => {
      const proxy = await startTestProxy(t, await grpcBootstrap(t, config));
      await callAll(t, proxy.port("in"), grpcCalls);
      const log = await proxy.accessLog(grpcCalls.length);
      for (const [i, { path, counted }] of grpcCalls.entries()) assert.equal(log[i]?.["counted"], counted, path);
      assert.deepEqual(log[0]?.["counts"], { request_message_count: "2", response_message_count: "3" });
      for (const [stat, value] of Object.entries(stats)) assert.equal(proxy.stat(stat), value, stat);
    });
  }

  test("says nothing in the log unless asked to", async (t) => {
    const proxy = await startTestProxy(t, await grpcBootstrap(t, {}));
    await callAll(t, proxy.port("in"), grpcCalls.slice(0, 1));
    assert.equal((await proxy.accessLog(1))[0]?.["counted"], null);
    assert.equal(proxy.stat("cluster.origin.grpc.request_message_count"), 2);
  });

  test("leaves alone what is not gRPC", async (t) => {
    const proxy = await startTestProxy(t, await grpcBootstrap(t, { emit_filter_state: true }));
    const headers = { "content-type": "application/json" };
    await callAll(t, proxy.port("in"), [{ path: "/test.Echo/A", headers, pieces: [grpcFrame(2)], counted: null }]);
    assert.equal((await proxy.accessLog(1))[0]?.["counted"], null);
    assert.equal(proxy.stat("cluster.origin.grpc.total"), 0);
  });
});
