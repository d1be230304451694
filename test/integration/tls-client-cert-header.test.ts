// x-forwarded-client-cert and the log operators of a client's certificate on real sockets, in every mode; where this machine has the
// real Envoy, its answers to the same requests are the expectation.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { makeCa, type Issued } from "../support/certs.ts";
import { freePorts } from "../support/gateway-proxy.ts";
import { findPeer, startPeer } from "../support/peer-program.ts";
import { startTestProxy } from "../support/proxy.ts";

const host = "127.0.0.1";
const envoy = findPeer("envoy", ["--version"]);
const root = makeCa("header root");
const ca = root.intermediate("header intermediate");
const server = ca.issue({ uri: ["spiffe://cluster.local/ns/a/sa/server"], dns: ["server.test"] });
const client = ca.issue({
  o: 'lab "quoted"',
  cn: "client",
  uri: ["spiffe://cluster.local/ns/a/sa/client"],
  dns: ["client.test", "other.test"],
  email: ["me@client.test"],
  ip: [Buffer.from([192, 0, 2, 7])],
});

const modes = ["SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY"] as const;
const operators = [
  "PEER_URI_SAN",
  "PEER_DNS_SAN",
  "PEER_IP_SAN",
  "PEER_EMAIL_SAN",
  "PEER_SUBJECT",
  "PEER_ISSUER",
  "PEER_SERIAL",
  "PEER_FINGERPRINT_256",
  "PEER_FINGERPRINT_1",
  "PEER_CERT",
  "PEER_CERT_V_START",
  "PEER_CERT_V_END",
  "PEER_CHAIN_FINGERPRINTS_256",
  "PEER_CHAIN_SERIALS",
  "PEER_ISSUER_SERIAL",
  "LOCAL_URI_SAN",
  "LOCAL_DNS_SAN",
  "LOCAL_SUBJECT",
  "TLS_VERSION",
].map((name) => `DOWNSTREAM_${name}`);

const typed = (type: string, fields: object = {}): object => ({ "@type": `type.googleapis.com/${type}`, ...fields });

function listener(mode: (typeof modes)[number], port: number): object {
  const tls = typed("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", {
    common_tls_context: {
      tls_certificates: [{ certificate_chain: { inline_string: server.chain }, private_key: { inline_string: server.key } }],
      validation_context: { trusted_ca: { inline_string: root.cert } },
    },
  });
  const hcm = typed("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", {
    stat_prefix: mode,
    forward_client_cert_details: mode,
    set_current_client_cert_details: { subject: true, cert: true, chain: true, dns: true, uri: true },
    route_config: {
      virtual_hosts: [
        {
          name: "all",
          domains: ["*"],
          routes: [{ match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: "ok" } } }],
          response_headers_to_add: ["REQ(x-forwarded-client-cert)", ...operators].map((name, index) => ({
            header: { key: index === 0 ? "x-xfcc" : `x-${name.toLowerCase().replaceAll("_", "-")}`, value: `%${name}%` },
          })),
        },
      ],
    },
    http_filters: [{ name: "router", typed_config: typed("envoy.extensions.filters.http.router.v3.Router") }],
  });
  return {
    name: mode,
    address: { socket_address: { address: host, port_value: port } },
    filter_chains: [{ filters: [{ name: "hcm", typed_config: hcm }], transport_socket: { name: "tls", typed_config: tls } }],
  };
}

/** The x- headers of an answer. */
function ask(
  port: number,
  own: Issued | undefined,
  told: string | undefined,
): Promise<Readonly<Record<string, string | readonly string[] | undefined>>> {
  return new Promise((resolve, reject) => {
    const options = {
      host,
      port,
      ca: root.cert,
      servername: "server.test",
      agent: false,
      headers: told === undefined ? {} : { "x-forwarded-client-cert": told },
      ...(own === undefined ? {} : { cert: own.chain, key: own.key }),
    };
    const sent = request(options, (response) => {
      response.resume();
      resolve(Object.fromEntries(Object.entries(response.headers).filter(([name]) => name.startsWith("x-"))));
    });
    sent.setTimeout(10_000, () => sent.destroy(new Error("timed out")));
    sent.on("error", reject).end();
  });
}

suite("x-forwarded-client-cert", { timeout: 60_000 }, () => {
  const told = "By=spiffe://somewhere/ns/x/sa/y;Hash=0123";
  const asked = modes.flatMap((mode) => [client, undefined].flatMap((own) => [told, undefined].map((header) => ({ mode, own, header }))));

  test("says by mode what the client is, what it claimed, or nothing", async (t) => {
    const ports = await freePorts(host, modes.length);
    await startTestProxy(t, { static_resources: { listeners: modes.map((mode, index) => listener(mode, ports[index] ?? 0)) } });
    const seen = async (mode: (typeof modes)[number], own: Issued | undefined, header?: string): Promise<string> =>
      [(await ask(ports[modes.indexOf(mode)] ?? 0, own, header))["x-xfcc"] ?? ""].flat().join();
    assert.equal(await seen("SANITIZE", client, told), "");
    assert.equal(await seen("FORWARD_ONLY", client, told), told);
    assert.equal(await seen("FORWARD_ONLY", undefined, told), "");
    assert.equal(await seen("ALWAYS_FORWARD_ONLY", undefined, told), told);
    const set = await seen("SANITIZE_SET", client, told);
    assert.match(set, /^By=spiffe:\/\/cluster\.local\/ns\/a\/sa\/server;Hash=[0-9a-f]{64};Cert="-----BEGIN%20CERTIFICATE/);
    assert.match(set, /;Subject="[^;]*";URI=spiffe:\/\/cluster\.local\/ns\/a\/sa\/client;DNS=client\.test;DNS=other\.test$/);
    assert.equal(await seen("APPEND_FORWARD", client, told), `${told},${set}`);
  });

  test("and the operators of a certificate are what Envoy's are", { skip: "missing" in envoy ? envoy.missing : false }, async (t) => {
    assert.ok("path" in envoy);
    const ports = await freePorts(host, modes.length * 2);
    const bootstrap = (from: number): object => ({
      static_resources: { listeners: modes.map((mode, index) => listener(mode, ports[from + index] ?? 0)) },
    });
    await startTestProxy(t, bootstrap(0));
    const folder = await mkdtemp(join(tmpdir(), "isthmus-xfcc-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    await writeFile(join(folder, "envoy.json"), JSON.stringify(bootstrap(modes.length)));
    const args = ["-c", join(folder, "envoy.json"), "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "error"];
    await startPeer(t, envoy.path, args, { host, port: ports.at(-1) ?? 0 });
    for (const { mode, own, header } of asked) {
      const index = modes.indexOf(mode);
      const ours = await ask(ports[index] ?? 0, own, header);
      const theirs = await ask(ports[modes.length + index] ?? 0, own, header);
      assert.deepEqual(ours, theirs, `${mode}, ${own === undefined ? "no certificate" : "a certificate"}, ${header ?? "no header"}`);
    }
  });
});
