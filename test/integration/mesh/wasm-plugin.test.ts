// A WasmPlugin whose url is a TypeScript file, through a gateway of a mesh: it runs, is configured, reloaded, and refused where it is Wasm.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { freePorts, startGateway } from "../../support/gateway-proxy.ts";
import { connectRaw, hasResponses } from "../../support/raw-http.ts";

const source = (greeting: string): string => `
import type { FilterContext, FilterReply, FilterRequest } from "isthmus/filter-api";
export function onRequestHeaders(request: FilterRequest, { config }: FilterContext<{ name: string }>): FilterReply {
  return { status: 200, body: "${greeting} " + config.name };
}`;

const plugin = (name: string, spec: string): string => `
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: ${name}, namespace: istio-system}
spec: {${spec}}
---`;

test("a gateway runs the modules of WasmPlugins, relative to its mesh directory too", async (t) => {
  const [port = 0, other = 0] = await freePorts("127.0.0.1", 2);
  const servers = [port, other].map((number) => `{port: {number: ${number}, name: p${number}, protocol: HTTP}, hosts: ["*"]}`);
  const plugins = (name: string): string =>
    plugin(
      "first",
      `url: "file://./filters/first.ts", pluginConfig: {name: ${name}}, match: [{mode: CLIENT, ports: [{number: ${port}}]}]`,
    ) + plugin("dispensable", `url: "oci://registry.example/filter:v1", failStrategy: FAIL_OPEN`);
  const { proxy, change } = await startGateway(
    t,
    {
      "filters/first.ts": source("hello"),
      "istio/gateway.yaml": `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gateway, namespace: istio-system}
spec: {selector: {istio: gateway}, servers: [${servers.join(", ")}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: all, namespace: istio-system}
spec: {hosts: ["*"], gateways: [gateway], http: [{directResponse: {status: 204}}]}`,
      "istio/plugins.yaml": plugins("you"),
    },
    { node: "router~127.0.0.1~gateway.istio-system~istio-system.svc.cluster.local", labels: "istio=gateway" },
  );
  const ask = async (to: number): Promise<string> => {
    const client = await connectRaw(to);
    client.socket.write("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    const response = await client.until(hasResponses(1));
    client.socket.destroy();
    return response;
  };
  const until = async (end: string): Promise<void> => {
    for (const deadline = Date.now() + 10_000; ;) {
      const response = await ask(port);
      if (response.endsWith(end)) return;
      assert.ok(Date.now() < deadline, response);
    }
  };
  assert.match(await ask(port), /^HTTP\/1\.1 200 OK\r\n(.*\r\n)*\r\nhello you$/);
  assert.match(await ask(other), /^HTTP\/1\.1 204 /);
  assert.equal(await change({ "istio/plugins.yaml": plugins("them") }), true);
  await until("hello them");
  await change({ [join("filters", "first.ts")]: source("good day") });
  await until("good day them");
  assert.equal(proxy.stats.value("script.module_rejected"), 0);
});
