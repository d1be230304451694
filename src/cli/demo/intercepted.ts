// What only interception gives: programs that name neither proxy nor address, and networks that nothing but gateways joins.
import { Checks, type Screen } from "./screen.ts";
import type { Stage } from "./stage.ts";
import type { TwoClusters } from "./two-clusters.ts";

// An unmodified program for machines without curl: getaddrinfo by resolv.conf, then a connection to what that said.
const fetchPage = "fetch(process.argv[1]).then((r) => r.text()).then((text) => console.log(text))";
// Prints how a connection went: `connected`, or the code of what came between.
const connectOnce = `const s = require("node:net").connect({ host: process.argv[1], port: Number(process.argv[2]), timeout: 3000 });
s.on("connect", () => s.end("GET / HTTP/1.0\\r\\n\\r\\n")); let got = 0; s.on("data", (d) => (got += d.length));
s.on("timeout", () => s.destroy()); let why = "closed"; s.on("error", (e) => (why = e.code));
s.on("close", () => console.log(got > 0 ? "answered" : why));`;

/** Checks what an application sees that knows of no mesh; true when all is as it should be. */
export async function showInterception(world: TwoClusters, stage: Stage, screen: Screen): Promise<boolean> {
  const { mesh, service, servicePort, proxies } = world;
  const checks = new Checks(screen);
  const said = (pod: string, ...command: readonly string[]): Promise<string> =>
    stage.run(pod, command).then(
      (text) => text.trim(),
      (thrown: unknown) => (thrown instanceof Error ? thrown.message : String(thrown)),
    );
  const node = (pod: string, ...args: readonly string[]): Promise<string> => said(pod, process.execPath, "-e", ...args);

  screen.heading("Intercepted");
  for (const pod of ["sleep", "httpbin"]) {
    const isthmus = [...process.execArgv, process.argv[1] ?? ""];
    const command = [process.execPath, ...isthmus, "intercept", "check", "--mesh", mesh.folder, "--node", pod];
    const whole = await stage.run(pod, command).then(
      () => "",
      (thrown: unknown) => `: ${String(thrown)}`,
    );
    checks.that(whole === "", `isthmus intercept check finds every rule in ${pod}'s namespace${whole}`);
  }
  const url = `http://${service.name}:${servicePort}`;
  const { namespace, serviceAccount } = proxies.sleep.workload;
  const page = await node("sleep", fetchPage, `${url}/headers`);
  checks.that(
    page.includes(`spiffe://cluster.local/ns/${namespace}/sa/${serviceAccount}`),
    `an unmodified program asks for ${url}/headers, by that name and port, and is sleep to httpbin`,
  );
  checks.that((await node("sleep", fetchPage, `${url}/ip`)).includes("127.0.0.6"), "httpbin sees its sidecar, 127.0.0.6, as the caller");
  const direct = await stage
    .run("sleep", [process.execPath, "-e", connectOnce, proxies.httpbin.workload.ip, world.app.address.split(":")[1] ?? ""], "proxy-group")
    .then((text) => text.trim(), String);
  checks.that(direct !== "answered" && direct !== "closed", `no way from network1 to httpbin's Pod but the gateways: ${direct}`);
  for (const port of ["15001", "15006"]) {
    const loop = await node("sleep", connectOnce, proxies.sleep.workload.ip, port);
    checks.that(loop !== "answered", `a call to the proxy's own port ${port} goes nowhere: ${loop}`);
  }
  return checks.allPassed;
}
