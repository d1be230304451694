// What becomes of the connections of a host that starts to fail: against this proxy and, where it is, Envoy.
import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { suite, test } from "node:test";
import { answering } from "../../support/envoy-proxy.ts";
import { bootstrap, cluster, httpListener } from "../../support/proxy.ts";
import { connectRaw, hasResponses, listenHttp, reply } from "../../support/raw-http.ts";

for (const [name, start, skip] of answering) {
  suite(`a host of ${name} that is ejected`, { skip }, () => {
    test("loses its idle connections, and serves in panic on new ones", { timeout: 30_000 }, async (t) => {
      const sockets = new Set<Socket>();
      const origin = await listenHttp(({ socket }) => {
        sockets.add(socket);
        reply(socket, "broken", "503 Service Unavailable");
      });
      t.after(() => origin.close());
      const detection = { outlier_detection: { consecutive_5xx: 2, base_ejection_time: "60s", max_ejection_percent: 100 } };
      const proxy = await start(t, bootstrap([httpListener("main")], [cluster("origin", origin.port, detection)]));
      const client = await connectRaw(proxy.port("main"));
      t.after(() => void client.socket.destroy());
      const get = async (count: number): Promise<void> => {
        client.socket.write("GET / HTTP/1.1\r\nHost: lab\r\n\r\n");
        await client.until(hasResponses(count));
      };
      await get(1);
      const [first] = sockets;
      assert.ok(first !== undefined);
      const closed = once(first, "close");
      await get(2);
      await closed;
      await get(3);
      assert.equal(origin.accepted, 2);
    });
  });
}
