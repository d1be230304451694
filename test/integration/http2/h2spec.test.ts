// h2spec's 147 cases against a listener, in clear text and over TLS. Skipped where the program is not installed.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { test, type TestContext } from "node:test";
import { makeCa } from "../../support/certs.ts";
import { bootstrap, cluster, httpListener, startTestProxy } from "../../support/proxy.ts";

const peers = process.env["PEERS_BIN"] ?? join(homedir(), ".cache/isthmus-peers/bin");
const program = [peers, ...(process.env["PATH"] ?? "").split(delimiter)]
  .map((folder) => join(folder, "h2spec"))
  .find((file) => existsSync(file));
const skip = program === undefined ? "needs h2spec in $PEERS_BIN" : false;

/** An origin that answers once the request is complete: the cases need streams that stay open until then. */
async function startOrigin(t: TestContext): Promise<number> {
  const server = http.createServer((request, response) => {
    request.on("error", () => undefined);
    request.on("end", () => setTimeout(() => response.end("hello"), 5)).resume();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

function h2spec(port: number, ...more: readonly string[]): Promise<string> {
  // Its own patience, in seconds, is for a machine under load.
  const options = ["-h", "127.0.0.1", "-p", String(port), "--strict", "-o", "5", ...more];
  return new Promise((resolve) => execFile(program!, options, { timeout: 120_000 }, (_error, stdout) => resolve(stdout)));
}

const failures = (output: string): string => output.slice(Math.max(output.indexOf("Failures:"), 0)).slice(-3000);

test("in clear text", { skip }, async (t) => {
  // An HTTP/1.1 reply to an invalid preface, which an automatic listener gives, is not what the cases expect.
  const listener = httpListener("main", { manager: { codec_type: "HTTP2" } });
  const proxy = await startTestProxy(t, bootstrap([listener], [cluster("origin", await startOrigin(t))]));
  const output = await h2spec(proxy.port("main"));
  assert.match(output, /147 tests, 147 passed, 0 skipped, 0 failed/, failures(output));
});

test("over TLS", { skip }, async (t) => {
  const { chain, key } = makeCa().issue({ dns: ["lab.test"] });
  const listener = httpListener("main") as { filter_chains: object[] };
  listener.filter_chains[0] = {
    ...listener.filter_chains[0],
    transport_socket: {
      name: "envoy.transport_sockets.tls",
      typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context: {
          alpn_protocols: ["h2", "http/1.1"],
          tls_certificates: [{ certificate_chain: { inline_string: chain }, private_key: { inline_string: key } }],
        },
      },
    },
  };
  const proxy = await startTestProxy(t, bootstrap([listener], [cluster("origin", await startOrigin(t))]));
  const output = await h2spec(proxy.port("main"), "-t", "-k");
  assert.match(output, /147 tests, 147 passed, 0 skipped, 0 failed/, failures(output));
});
