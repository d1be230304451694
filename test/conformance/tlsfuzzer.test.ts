// tlsfuzzer's conversations about ClientHello, ALPN, certificates and fragments against a TLS and an mTLS listener, where its package is
// installed: whatever it sends, nothing is accepted that it says must be refused, and the proxy goes on serving.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { makeCa, type Issued } from "../support/certs.ts";
import { startTestProxy, type TestProxy } from "../support/proxy.ts";

const python = process.env["TLSFUZZER_PYTHON"] ?? "python3";
// PyPI has no tlsfuzzer, so it is a folder: its sources with tlslite-ng and ecdsa beside them (`pip install --pre --target`).
const folder = process.env["PYTHONPATH"] ?? join(homedir(), ".cache", "isthmus-peers", "tlsfuzzer");
const env = { ...process.env, PYTHONPATH: folder };
const installed =
  spawnSync(python, ["-c", "import tlsfuzzer._apps.test_alpn_negotiation"], { stdio: "ignore", timeout: 60_000, env }).status === 0;
const skip = installed ? false : `tlsfuzzer is not installed for ${python}, neither in ${folder}: see PYTHONPATH or TLSFUZZER_PYTHON`;

/** Conversations of each kind that are drawn, beside the sanity checks; tlsfuzzer draws them anew each time. */
const usuallyDrawn = "3";

interface Script {
  readonly name: string;
  readonly listener: "tls" | "mtls";
  /** `-d` negotiates ECDHE: RSA key exchange and SHA-1 are refused here. */
  readonly args?: readonly string[];
  /** False where the script's own handshake uses what is refused here, so that only its refusals can be judged. */
  readonly shakesHands?: boolean;
  /** Fewer where each takes seconds. */
  readonly drawn?: string;
  /** Conversations in which more is accepted than tlsfuzzer expects, and why that is right. */
  readonly accepted?: Readonly<Record<string, string>>;
}

const asEnvoy = "a client whose protocols are none of the server's is served without ALPN, as by Envoy";
const anyName = "a name is bytes to be compared; what matches no certificate changes nothing";

const scripts: readonly Script[] = [
  { name: "invalid_client_hello", listener: "tls", shakesHands: false },
  { name: "invalid_client_hello_w_record_overflow", listener: "tls", args: ["-d"] },
  { name: "truncating_of_client_hello", listener: "tls", args: ["-d"] },
  { name: "large_hello", listener: "tls", args: ["-d"] },
  { name: "client_hello_max_size", listener: "tls", args: ["-d"] },
  { name: "extensions", listener: "tls", shakesHands: false },
  { name: "large_number_of_extensions", listener: "tls", args: ["-d"] },
  {
    name: "invalid_server_name_extension",
    listener: "tls",
    args: ["-d"],
    accepted: {
      "incorrect SNI": anyName,
      "SNI name with ANSI color escapes code": anyName,
      "SNI name with UTF-8": anyName,
      "SNI name with BEL": anyName,
    },
  },
  { name: "alpn_negotiation", listener: "tls", args: ["-d"], accepted: { "only http/1.": asEnvoy, "only http/1.X": asEnvoy } },
  { name: "record_layer_fragmentation", listener: "tls", args: ["-d"] },
  { name: "tls13_record_layer_limits", listener: "tls", drawn: "2" },
  { name: "tls13_keyshare_omitted", listener: "tls" },
  { name: "tls13_ccs", listener: "tls" },
  { name: "certificate_malformed", listener: "mtls", args: ["-d"] },
  { name: "certificate_verify", listener: "mtls", args: ["-d"], drawn: "2" },
  { name: "certificate_verify_malformed", listener: "mtls", args: ["-d"] },
  { name: "certificate_verify_malformed_sig", listener: "mtls", shakesHands: false },
  { name: "tls13_certificate_verify", listener: "mtls" },
  { name: "renegotiation_disabled_client_cert", listener: "mtls", args: ["-d"], shakesHands: false },
];

interface Conversation {
  readonly name: string;
  readonly ok: boolean;
  /** What tlsfuzzer says of a failed one. */
  readonly problem: string;
}

function readConversations(output: string): readonly Conversation[] {
  return output.split(/\n\s*\n/).flatMap((block) => {
    const match = /^\s*(.*) \.\.\.\n([^]*)$/.exec(block);
    if (match === null) return [];
    const [, name = "", rest = ""] = match;
    return [{ name, ok: /^OK/m.test(rest), problem: rest }];
  });
}

// A refusal was expected, and the handshake or the connection went on.
const wronglyAccepted = ({ ok, problem }: Conversation): boolean =>
  !ok &&
  /processing node <?[\w.]*Expect(Alert|Close)/.test(problem) &&
  /Unexpected message from peer: (Handshake|ApplicationData|ChangeCipherSpec)/.test(problem);

const typed = (type: string, fields: object = {}): object => ({ "@type": `type.googleapis.com/${type}`, ...fields });

function listener(name: string, server: Issued, validation: object): object {
  const hcm = typed("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", {
    stat_prefix: name,
    http_protocol_options: { accept_http_10: true },
    route_config: {
      virtual_hosts: [
        { name, domains: ["*"], routes: [{ match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: "ok" } } }] },
      ],
    },
    http_filters: [{ name: "router", typed_config: typed("envoy.extensions.filters.http.router.v3.Router") }],
  });
  const tls = typed("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", {
    require_client_certificate: "validation_context" in validation,
    common_tls_context: {
      alpn_protocols: ["http/1.1", "h2"],
      tls_params: { cipher_suites: ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA", "AES128-GCM-SHA256", "AES128-SHA"] },
      tls_certificates: [{ certificate_chain: { inline_string: server.chain }, private_key: { inline_string: server.key } }],
      ...validation,
    },
  });
  return {
    name,
    address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
    filter_chains: [{ filters: [{ name: "hcm", typed_config: hcm }], transport_socket: { name: "tls", typed_config: tls } }],
  };
}

suite("tlsfuzzer", { skip, concurrency: 2, timeout: 900_000 }, () => {
  const ca = makeCa("fuzzed", "rsa");
  const rsa = (cn: string): Issued => ca.issue({ cn, dns: ["localhost"], keyType: "rsa" });
  const client = rsa("client");

  async function start(t: TestContext): Promise<{ readonly proxy: TestProxy; readonly folder: string }> {
    const folder = await mkdtemp(join(tmpdir(), "isthmus-tlsfuzzer-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    await writeFile(join(folder, "c.pem"), client.cert);
    await writeFile(join(folder, "k.pem"), client.key);
    const trusted = { validation_context: { trusted_ca: { inline_string: ca.cert } } };
    const server = rsa("server");
    const proxy = await startTestProxy(t, {
      static_resources: { listeners: [listener("tls", server, {}), listener("mtls", server, trusted)] },
    });
    return { proxy, folder };
  }

  const serves = (port: number): Promise<number> =>
    new Promise((resolve, reject) => {
      const options = {
        host: "127.0.0.1",
        port,
        ca: ca.cert,
        servername: "localhost",
        cert: client.chain,
        key: client.key,
        agent: false,
        timeout: 10_000,
      };
      request(options, (response) => (response.resume(), resolve(response.statusCode ?? 0)))
        .on("error", reject)
        .end();
    });

  for (const { name, listener: target, args = [], shakesHands = true, accepted = {}, drawn = usuallyDrawn } of scripts) {
    test(`${name} at the ${target} listener`, async (t) => {
      const { proxy, folder } = await start(t);
      const port = proxy.port(target);
      const keys = target === "mtls" ? ["-k", join(folder, "k.pem"), "-c", join(folder, "c.pem")] : [];
      const code = `import sys; from tlsfuzzer._apps.test_${name} import main; sys.argv[0] = "${name}"; main()`;
      const child = spawn(python, ["-c", code, "-h", "127.0.0.1", "-p", String(port), "-n", drawn, ...keys, ...args], {
        stdio: "pipe",
        timeout: 300_000,
        env,
      });
      let output = "";
      for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
      await once(child, "close");
      const conversations = readConversations(output);
      assert.ok(conversations.length > 1, output.slice(-2000));
      const wrong = conversations.filter((each) => wronglyAccepted(each) && accepted[each.name] === undefined);
      assert.deepEqual(
        wrong.map((each) => `${each.name}: ${each.problem.slice(0, 600)}`),
        [],
      );
      if (shakesHands) {
        const sane = conversations.filter((each) => /^sanity/i.test(each.name));
        assert.ok(sane.length > 0 && sane.every((each) => each.ok), sane.map((each) => each.problem).join("\n"));
      }
      assert.equal(await serves(port), 200);
    });
  }
});
