import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { suite, test, type TestContext } from "node:test";
import { isthmusWith, temporaryFolder } from "../run-process.ts";
import { startSidecar } from "./agent-process.ts";

async function application(t: TestContext, answer: RequestListener): Promise<number> {
  const server = createServer(answer).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const annotations = (port: number): Record<string, string> => ({
  ISTIO_PROMETHEUS_ANNOTATIONS: JSON.stringify({ scrape: "true", path: "/own", port: String(port) }),
});

suite("status ports of a sidecar", () => {
  test("each port serves what it is for and nothing else", async (t) => {
    const sidecar = await startSidecar(t);
    const status = async (address: string, path: string): Promise<number> => (await fetch(`http://${address}${path}`)).status;
    const paths = ["/healthz/ready", "/stats/prometheus", "/metrics", "/app-health/a/livez", "/config_dump"];
    const table = await Promise.all(
      [sidecar.health, sidecar.status, sidecar.prometheus].map((address) => Promise.all(paths.map((path) => status(address, path)))),
    );
    assert.deepEqual(table, [
      [200, 404, 404, 404, 404],
      [200, 200, 200, 400, 404],
      [404, 200, 404, 404, 404],
    ]);
  });

  test("metrics are the agent's, the proxy's and the application's, in the application's format", async (t) => {
    let accepted: string | undefined;
    const port = await application(t, (request, response) => {
      accepted = request.headers.accept;
      response.writeHead(request.url === "/own" ? 200 : 404, { "content-type": "application/openmetrics-text; version=1.0.0" });
      response.end("orders_total 3\n# EOF\n");
    });
    const sidecar = await startSidecar(t, { environment: annotations(port) });
    const response = await fetch(`http://${sidecar.status}/stats/prometheus`, { headers: { accept: "application/openmetrics-text" } });
    const body = await response.text();
    assert.equal(response.headers.get("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert.equal(accepted, "application/openmetrics-text");
    assert.match(body, /^istio_agent_scrapes_total 1$/m);
    assert.match(body, /^envoy_server_live/m);
    assert.ok(body.endsWith("orders_total 3\n# EOF\n"));
    assert.doesNotMatch(await (await fetch(`http://${sidecar.prometheus}/stats/prometheus`)).text(), /orders_total/);
  });

  for (const [title, answer] of [
    ["answers with an error", (_request, response) => response.writeHead(500).end("orders_total 3\n")],
    ["hangs up", (request) => request.socket.destroy()],
    ["sends more than 10 MiB", (_request, response) => response.end(Buffer.alloc(10 * 1024 * 1024 + 1, "a"))],
    ["never answers", () => undefined],
  ] as const satisfies readonly (readonly [string, RequestListener])[]) {
    test(`an application that ${title} costs the scrape only its own part`, async (t) => {
      const port = await application(t, answer);
      const sidecar = await startSidecar(t, { environment: annotations(port) });
      const headers = { "x-prometheus-scrape-timeout-seconds": "0.5" };
      await (await fetch(`http://${sidecar.status}/stats/prometheus`, { headers })).text();
      const response = await fetch(`http://${sidecar.status}/stats/prometheus`, { headers });
      const body = await response.text();
      assert.equal(response.status, 200);
      assert.match(body, /^envoy_server_live/m);
      assert.match(body, /^istio_agent_scrape_failures_total\{type="application"\} 2$/m);
      assert.ok(body.length < 1024 * 1024 && !body.includes("orders_total"));
    });
  }

  test("probes that the injector rewrote are asked of the application", async (t) => {
    const port = await application(t, (request, response) => response.writeHead(request.url === "/alive" ? 204 : 503).end());
    const probe = (path: string): object => ({ httpGet: { path, port } });
    const probes = { "/app-health/app/livez": probe("/alive"), "/app-health/app/readyz": probe("/ready") };
    const sidecar = await startSidecar(t, { environment: { ISTIO_KUBE_APP_PROBERS: JSON.stringify(probes) } });
    assert.equal((await fetch(`http://${sidecar.status}/app-health/app/livez`)).status, 204);
    assert.equal((await fetch(`http://${sidecar.status}/app-health/app/readyz`)).status, 503);
  });

  for (const [name, value] of [
    ["ISTIO_KUBE_APP_PROBERS", "{"],
    ["ISTIO_KUBE_APP_PROBERS", '{"/app-health/app/livez": {"httpGet": {"port": "http"}}}'],
    ["ISTIO_PROMETHEUS_ANNOTATIONS", '{"port": "many"}'],
    ["MINIMUM_DRAIN_DURATION", "soon"],
  ] as const) {
    test(`${name}=${value} stops the start with a sentence`, async (t) => {
      const running = isthmusWith(t, { [name]: value }, ["run", "-c", temporaryFolder(t)]);
      assert.equal(await running.exited, 1);
      assert.match(running.output(), new RegExp(`^${name}: .*(expected|is no port)`));
    });
  }
});
