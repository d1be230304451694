// A route's metadata_match with a cluster that has no subsets: against this proxy and, where it is, Envoy.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { answering } from "../../support/envoy-proxy.ts";
import { bootstrap, cluster, httpListener } from "../../support/proxy.ts";
import { connectRaw, hasResponses, listenHttp, reply } from "../../support/raw-http.ts";

for (const [name, start, skip] of answering) {
  suite(`metadata_match of ${name}`, { skip }, () => {
    for (const [title, subsets, expected] of [
      ["means nothing to a cluster without subsets", undefined, ["a", "b"]],
      ["chooses among the hosts of a cluster with them", { subset_selectors: [{ keys: ["version"] }] }, ["a"]],
    ] as const) {
      test(title, async (t) => {
        const endpoints = await Promise.all(
          ["a", "b"].map(async (version) => {
            const origin = await listenHttp(({ socket }) => reply(socket, version));
            t.after(() => origin.close());
            return {
              endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: origin.port } } },
              metadata: { filter_metadata: { "envoy.lb": { version } } },
            };
          }),
        );
        const origins = cluster("origin", 0, {
          load_assignment: { cluster_name: "origin", endpoints: [{ lb_endpoints: endpoints }] },
          ...(subsets && { lb_subset_config: subsets }),
        });
        const match = { filter_metadata: { "envoy.lb": { version: "a" } } };
        const routes = [{ match: { prefix: "/" }, route: { cluster: "origin", metadata_match: match } }];
        const proxy = await start(t, bootstrap([httpListener("main", { routes })], [origins]));
        const client = await connectRaw(proxy.port("main"));
        t.after(() => void client.socket.destroy());
        for (let sent = 1; sent <= 4; sent++) {
          client.socket.write("GET / HTTP/1.1\r\nHost: lab\r\n\r\n");
          await client.until(hasResponses(sent));
        }
        const answered = new Set([...client.received.matchAll(/\r\n\r\n([ab])/g)].map(([, version]) => version));
        assert.deepEqual(answered, new Set(expected));
      });
    }
  });
}
