// One request from cluster1 to cluster2, followed from hop to hop, and what must not be possible. Every line shown comes from
// an answer or from a proxy's own access log and counters.
import fs from "node:fs";
import path from "node:path";
import { caFileNames } from "../../identity/ca/ca-files.ts";
import type { AccessLine, AccessLines } from "./access-lines.ts";
import { askDns, askHttp, knock } from "./questions.ts";
import { Checks, type Screen } from "./screen.ts";
import type { DemoProxy, TwoClusters } from "./two-clusters.ts";

/** How long a log record may come after its request. */
const logDeadlineMs = 3000;

/** Follows one request and checks each hop; true when all of them are right. */
export async function showCrossing(world: TwoClusters, lines: AccessLines, screen: Screen): Promise<boolean> {
  const { proxies, service, servicePort, gatewayPort } = world;
  const checks = new Checks(screen);
  const host = `${service.name}:${servicePort}`;
  screen.heading(`The crossing: sleep asks for http://${host}/headers`);

  const dns = await askDns(world.dns, service.name);
  const addresses = typeof dns.value === "string" ? [] : dns.value;
  screen.hop({ where: "sleep", what: `asks isthmus' DNS for ${service.name}: ${addresses.join(", ") || String(dns.value)}`, ms: dns.ms });
  const [address] = addresses;
  if (address === undefined) return checks.failed("isthmus' DNS knows the name");

  const before = await sniConnections(proxies.gateway2);
  const outboundLine = lines.next(proxies.sleep.name, logDeadlineMs);
  const inboundLine = lines.next(proxies.httpbin.name, logDeadlineMs);
  const answer = await askHttp(address, servicePort, host, "/headers");
  const [outbound, inbound] = await Promise.all([outboundLine, inboundLine]);
  const passed = [...(await sniConnections(proxies.gateway2))]
    .filter(([name, count]) => count > (before.get(name) ?? 0))
    .map(([name]) => name);

  const [sni = "none"] = passed;
  const status = answer.value?.status;
  screen.hop({
    where: proxies.sleep.name,
    what: `${text(outbound?.upstreamCluster)}: to ${text(outbound?.upstreamHost)} with mTLS`,
    ms: duration(outbound),
  });
  screen.hop({ where: "", what: `the other end proved to be ${text(outbound?.upstreamPeer)}` });
  screen.hop({ where: proxies.gateway2.name, what: `read SNI ${sni}` });
  screen.hop({ where: "", what: "passed the bytes on, without a key to open them" });
  screen.hop({ where: proxies.httpbin.name, what: `the caller proved to be ${text(inbound?.downstreamPeer)}` });
  screen.hop({ where: "", what: `opened the TLS session, on to ${text(inbound?.upstreamHost)}`, ms: duration(inbound) });
  screen.hop({ where: "sleep", what: `got ${status ?? "no answer"}`, ms: answer.ms });
  const again = await askHttp(address, servicePort, host, "/status/200");
  screen.hop({ where: "sleep", what: `asks again, now that everything is warm: ${again.value?.status ?? "no answer"}`, ms: again.ms });

  screen.heading("Checked");
  checks.that(
    address === service.clusterIp,
    `${service.name} resolves in cluster1 to its address in cluster2, ${service.clusterIp}, without a shadow Service`,
  );
  checks.that(text(outbound?.upstreamHost).endsWith(`:${gatewayPort}`), `the sidecar dialled a gateway on ${gatewayPort}, not the Pod`);
  checks.that(
    passed.length === 1 && sni === `outbound_.${servicePort}_._.${service.name}.${service.namespace}.svc.cluster.local`,
    "cluster2's gateway routed by the SNI alone",
  );
  checks.that(text(outbound?.upstreamPeer) === identity(proxies.httpbin), "sleep's sidecar talks to httpbin's identity");
  checks.that(
    text(inbound?.downstreamPeer) === identity(proxies.sleep),
    "httpbin's sidecar sees sleep's identity: one mTLS session from end to end",
  );
  checks.that(
    status === 200 && (answer.value?.body ?? "").includes("X-Forwarded-Client-Cert".toLowerCase()),
    "httpbin answered 200 and was told who called",
  );
  return checks.allPassed;
}

/** Takes away what the crossing must not depend on, and tries what must not work. */
export async function showLimits(world: TwoClusters, screen: Screen): Promise<boolean> {
  const { service, servicePort, gatewayPort, proxies, clusterDns } = world;
  const checks = new Checks(screen);
  const host = `${service.name}:${servicePort}`;
  const fullName = `${service.name}.${service.namespace}.svc.cluster.local`;

  const without = await askDns(`127.0.0.1:${clusterDns.port}`, fullName);
  checks.that(
    typeof without.value === "string",
    `without isthmus' DNS the name does not resolve: cluster1's DNS says ${String(without.value)}`,
  );
  const own = await askDns(world.dns, "kubernetes.default.svc.cluster.local");
  checks.that(typeof own.value === "string" && clusterDns.questions > 1, "what isthmus does not know, it asks cluster1's DNS");
  clusterDns.close();
  const still = await askDns(world.dns, fullName);
  checks.that(still.value.includes(service.clusterIp), `with cluster1's DNS stopped the name still resolves: ${String(still.value)}`);

  const gateway = { address: gatewayAddress(proxies.gateway2), port: gatewayPort, host };
  const serverName = `outbound_.${servicePort}_._.${fullName}`;
  const plain = await knock(gateway);
  checks.that(plain.accepted && plain.received === "", `plain text to the gateway gets nothing: ${plain.ended}`);
  const stranger = await knock({ ...gateway, serverName });
  checks.that(stranger.accepted && stranger.received === "", `TLS without a mesh certificate gets nothing: ${stranger.ended}`);
  const names = caFileNames.workload;
  const certificate = {
    cert: fs.readFileSync(path.join(proxies.sleep.certificates, names.chain), "utf8"),
    key: fs.readFileSync(path.join(proxies.sleep.certificates, names.key), "utf8"),
  };
  const member = await knock({ ...gateway, serverName, certificate });
  checks.that(member.received.startsWith("HTTP/1.1 200"), "the same with sleep's certificate gets 200");
  return checks.allPassed;
}

// The gateway's SNI clusters are named as the SNI they serve; its admin interface counts their connections.
async function sniConnections({ ask }: DemoProxy): Promise<ReadonlyMap<string, number>> {
  const value = await ask("/clusters");
  const counts = new Map<string, number>();
  for (const [, name = "", count = ""] of (value?.body ?? "").matchAll(/^(outbound_\.\S+?)::\S+::cx_total::(\d+)$/gm)) {
    counts.set(name, (counts.get(name) ?? 0) + Number(count));
  }
  return counts;
}

function identity({ workload: { namespace, serviceAccount } }: DemoProxy): string {
  return `spiffe://cluster.local/ns/${namespace}/sa/${serviceAccount}`;
}

function gatewayAddress({ workload }: DemoProxy): string {
  return workload.ip;
}

function text(value: AccessLine[keyof AccessLine]): string {
  return value === undefined || value === null ? "-" : String(value);
}

function duration(line: AccessLine | undefined): number | undefined {
  const ms = Number(line?.durationMs ?? NaN);
  return Number.isNaN(ms) ? undefined : ms;
}
