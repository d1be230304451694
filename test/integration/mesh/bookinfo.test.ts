// Bookinfo over two clusters: one page a cluster behind an ingress gateway, reviews v1 in one cluster only and v2 in the other.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import http from "node:http";
import { suite, test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { startHttpApp, type App } from "../../support/mesh/apps.ts";
import { createMesh } from "../../support/mesh/mesh.ts";
import { get, getMany, startTraffic, tally } from "../../support/mesh/traffic.ts";
import { until } from "../../support/mesh/until.ts";

const golden = fileURLToPath(new URL("../../golden/mesh/bookinfo-retention/mesh/", import.meta.url));
const read = (file: string): Promise<string> => readFile(golden + file, "utf8");
const loopback = "127.0.0.1";
const stars: Readonly<Record<string, string>> = { v1: "no stars", v2: "black stars" };

/** The golden mesh on this machine: its addresses in 127.0.0.0/8, its ports ones that are free. */
async function startBookinfo(t: TestContext) {
  const mesh = await createMesh(t);
  const [port, gatewayPort] = [await mesh.freePort(), await mesh.freePort()];
  const move = (text: string): string =>
    text
      .replaceAll(/\b10\.(\d)\.(\d)\.(\d+)\b/g, (_, cluster: string, third: string, last: string) =>
        mesh.ip(Number(cluster) * 10 + Number(third), Number(last)),
      )
      .replaceAll("9080", String(port))
      .replace("number: 80,", `number: ${gatewayPort},`)
      .replaceAll("metadata:\n    CLUSTER_ID", "metadata:\n    INTERCEPTION_MODE: NONE\n    CLUSTER_ID");

  const reviews: App[] = [];
  const k8s: (readonly string[])[] = [];
  for (const cluster of [1, 2] as const) {
    const agent = new http.Agent({ keepAlive: true });
    t.after(() => agent.destroy());
    const callReviews = { ip: mesh.ip(cluster * 10 + 1, 11), port, host: `reviews:${port}`, path: "/reviews/0" };
    const page = await startHttpApp(t, `productpage of m1c${cluster}`, loopback, (request, response) => {
      if (request.url !== "/productpage") return void response.writeHead(404).end("no such page");
      void get(callReviews, agent).then(({ status, body }) => {
        response.writeHead(status === 200 ? 200 : 502, { "x-page": `m1c${cluster}` });
        response.end(status === 200 ? body : `reviews: ${status} ${body}`);
      });
    });
    const version = `v${cluster}`;
    const app = await startHttpApp(t, version, mesh.ip(cluster * 10, 11), (_, response) => response.end(stars[version]));
    reviews.push(app);
    const documents = move(await read(`k8s/m1c${cluster}.yaml`)).split("---\n");
    k8s.push(
      documents
        // Both productpages' sidecars would bind its address, and the ingress gateway is called at its own.
        .filter((document) => !document.includes("name: istio-ingressgateway"))
        .map((document) => {
          // Where the application listens, with its sidecar in front of it on the pod's address.
          if (document.includes("name: productpage")) return withAppPort(document, page.port);
          // Reviews have no sidecar here, so that the versions need no proxies of their own.
          if (document.includes("name: reviews")) return withAppPort(document, app.port).replace(", security.istio.io/tlsMode: istio", "");
          return document;
        }),
    );
  }
  const writeCluster = (cluster: 1 | 2, withReviews = true) =>
    mesh.write(
      `k8s/m1c${cluster}.yaml`,
      k8s[cluster - 1]!.filter((document) => withReviews || !/kind: (EndpointSlice|Pod)\nmetadata: \{name: reviews/.test(document)).join(
        "---\n",
      ),
    );
  await writeCluster(1);
  await writeCluster(2);
  await mesh.write("nodes.yaml", move(await read("nodes.yaml")));
  await mesh.write("istio/bookinfo.yaml", move(await read("istio/bookinfo.yaml")));
  await mesh.config({});
  const [ingress, pageA, pageB] = await Promise.all([
    mesh.start("ingress", { cluster: "m1c1", serviceAccount: "ingress", namespace: "istio-system" }),
    mesh.start("productpage-a", { cluster: "m1c1", serviceAccount: "bookinfo-productpage", namespace: "bookinfo" }),
    mesh.start("productpage-b", { cluster: "m1c2", serviceAccount: "bookinfo-productpage", namespace: "bookinfo" }),
  ]);
  const retention = async (on: boolean): Promise<void> => {
    const hosts = ["reviews.bookinfo.svc.cluster.local"];
    await mesh.config(on ? { serviceSettings: [{ settings: { clusterLocal: true }, hosts }] } : {});
    await expectMembers(on ? 1 : 2, on ? 1 : 2);
  };
  const expectMembers = (a: number, b: number): Promise<number> => {
    const members = `cluster.outbound|${port}||reviews.bookinfo.svc.cluster.local;.membership_total`;
    return until(`reviews have ${a} and ${b} endpoints`, () => pageA.stat(members) === a && pageB.stat(members) === b);
  };
  const page = (path: string) => ({ ip: mesh.ip(10, 5), port: gatewayPort, host: "bookinfo.example", path });
  return { mesh, ingress, reviews, retention, expectMembers, writeCluster, page };
}

/** A Service or EndpointSlice whose application listens on `port`. */
function withAppPort(document: string, port: number): string {
  const slice = document.includes("kind: EndpointSlice");
  return document.replace(slice ? /(name: http, port:) \d+/ : /(targetPort:) \d+/, `$1 ${port}`);
}

suite("Bookinfo in m1c1 and m1c2", () => {
  test("pages go to their cluster, stars alternate, stay with retention, and fail rather than cross", async (t) => {
    const { mesh, reviews, retention, expectMembers, writeCluster, page } = await startBookinfo(t);

    const shown = async (path: string, count = 40) => {
      const answers = await getMany(count, page(path));
      const pages = [...new Set(answers.map(({ headers }) => String(headers["x-page"])))].toSorted();
      return { counts: tally(answers), pages, versions: Object.keys(tally(answers)).toSorted() };
    };
    const both = ["black stars", "no stars"];

    // By default: each path has its own productpage, and either shows either version.
    assert.deepEqual((await shown("/productpage1")).pages, ["m1c1"]);
    assert.deepEqual((await shown("/productpage2")).pages, ["m1c2"]);
    for (const path of ["/productpage1", "/productpage2"]) assert.deepEqual((await shown(path)).versions, both, path);
    // Over the first two connections the third path takes turns over both pages.
    assert.deepEqual((await shown("/productpage")).pages, ["m1c1", "m1c2"]);
    assert.equal((await get(page("/other"))).status, 404);

    // Retention under running requests: each page shows one version, no request fails.
    const traffic = [startTraffic(t, page("/productpage1")), startTraffic(t, page("/productpage2"))];
    await until("pages are shown", () => traffic.every(({ answers }) => answers.length > 10));
    const onMs = performance.now();
    await retention(true);
    const liveMs = performance.now();
    assert.deepEqual((await shown("/productpage1")).versions, ["no stars"]);
    assert.deepEqual((await shown("/productpage2")).versions, ["black stars"]);
    await retention(false);
    for (const path of ["/productpage1", "/productpage2"]) assert.deepEqual((await shown(path)).versions, both, path);
    await retention(true);
    for (const each of traffic) await each.stop();
    assert.deepEqual(
      traffic.flatMap((each) => each.failures()),
      [],
    );
    t.diagnostic(
      `retention live in both sidecars after ${(liveMs - onMs).toFixed(0)} ms; ${traffic.flatMap((each) => each.answers).length} pages, 0 failed`,
    );

    // Reviews of m1c1 stop: its page says so, the other one's does not change, and nothing crosses.
    await reviews[0]!.die();
    await writeCluster(1, false);
    await expectMembers(0, 1);
    const crossed = reviews[1]!.requests;
    assert.deepEqual((await shown("/productpage1", 20)).counts, { "502 reviews: 503 no healthy upstream": 20 });
    assert.equal(reviews[1]!.requests, crossed);
    assert.deepEqual((await shown("/productpage2", 20)).counts, { "black stars": 20 });
    const [record] = await mesh.logged(({ flags, path }) => flags === "UH" && path === "/reviews/0");
    assert.equal(record?.details, "no_healthy_upstream");

    // Without retention the same page shows the other cluster's stars.
    await mesh.config({});
    await expectMembers(1, 1);
    assert.deepEqual((await shown("/productpage1", 20)).counts, { "black stars": 20 });
  });
});
