// The client's address for connections upstream.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { originalSrc } from "../../../../../src/filter/listener/original-src/original-src.ts";
import { createListenerFilter } from "../../../../support/listener-filters.ts";
import { connectionInfo } from "../../../../support/listener-models.ts";

suite("original_src", () => {
  for (const [bindPort, port] of [
    [false, 0],
    [true, 4711],
  ] as const) {
    test(`asks for the address that was found out, bind_port ${bindPort}`, () => {
      const { filter } = createListenerFilter(originalSrc, { bindPort, mark: 1337 });
      const info = connectionInfo();
      info.remote = { ip: "10.9.8.7", port: 4711 };
      assert.equal(filter.needsBytes, false);
      assert.deepEqual(filter.inspect(info, Buffer.alloc(0), -1), { kind: "continue", consumed: 0 });
      assert.deepEqual(info.upstreamSource, { ip: "10.9.8.7", port, mark: 1337 });
    });
  }
});
