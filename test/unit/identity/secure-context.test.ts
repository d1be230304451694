// What a context offers and takes: on real handshakes, as a server and as a client, by default and as configured.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { suite, test, type TestContext } from "node:test";
import { connect, createSecureContext, TLSSocket, type SecureContext } from "node:tls";
import type { CommonTlsContext } from "../../../src/envoy/tls/tls.ts";
import { buildSecureContext } from "../../../src/identity/secure-context.ts";
import { makeCa } from "../../support/certs.ts";

const ca = makeCa();
const rsa = ca.issue({ dns: ["lab"], keyType: "rsa" });
const ecdsa = ca.issue({ dns: ["lab"] });

function built(over: Partial<CommonTlsContext>, server: boolean, heard: string[] = []): SecureContext {
  const common = { cipherSuites: [], ecdhCurves: [], certificates: [], certificateSecrets: [], alpnProtocols: [], ...over };
  const certificates = [ecdsa, rsa].map(({ chain, key }) => ({ certificateChain: chain, privateKey: key }));
  const material = { certificates: server ? certificates : [], validation: undefined };
  return buildSecureContext(common, material, server ? { sessionIdContext: "x", sessionTickets: false } : undefined, (text) =>
    heard.push(text),
  );
}

const free = (options: Parameters<typeof createSecureContext>[0] = {}): SecureContext =>
  createSecureContext({ cert: [ecdsa.chain, rsa.chain], key: [ecdsa.key, rsa.key], ca: [ca.cert], ...options });

/** The group and cipher of a handshake, or `refused`. */
async function shake(t: TestContext, server: SecureContext, client: SecureContext): Promise<string> {
  const listener = createServer((raw) => {
    raw.on("error", () => undefined);
    const socket = new TLSSocket(raw, { isServer: true, secureContext: server });
    socket.on("error", () => socket.destroy());
  }).listen(0, "127.0.0.1");
  await once(listener, "listening");
  t.after(() => listener.close());
  const socket = connect({
    port: (listener.address() as AddressInfo).port,
    host: "127.0.0.1",
    secureContext: client,
    rejectUnauthorized: false,
  });
  socket.setTimeout(10_000, () => socket.destroy());
  return new Promise((resolve) => {
    socket.on("error", () => resolve("refused")).on("close", () => resolve("refused"));
    socket.on("secureConnect", () => {
      const group = socket.getEphemeralKeyInfo() as { readonly name?: string };
      resolve(`${group.name ?? "?"} ${socket.getCipher().name}`);
      socket.destroy();
    });
  });
}

// [group of the other side, what Envoy's default says, what ecdh_curves P-384 and P-521 say]
const groups: readonly (readonly [group: string, byDefault: boolean, configured: boolean])[] = [
  ["X25519", true, false],
  ["P-256", true, false],
  ["P-384", false, true],
  ["P-521", false, true],
  ["X448", false, false],
];

suite("secure contexts", { timeout: 60_000 }, () => {
  for (const side of ["server", "client"] as const) {
    test(`a ${side} takes the groups that are configured, and Envoy's where none are`, async (t) => {
      for (const [ecdhCurves, column] of [
        [[], 1],
        [["P-384", "P-521"], 2],
      ] as const) {
        for (const row of groups) {
          for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
            // An ECDSA certificate's own curve has to be among a client's groups in TLS 1.2.
            const other = { ecdhCurve: row[0], maxVersion, cert: rsa.chain, key: rsa.key };
            const got =
              side === "server"
                ? await shake(t, built({ ecdhCurves }, true), free(other))
                : await shake(t, free(other), built({ ecdhCurves }, false));
            assert.equal(got !== "refused", row[column], `${row[0]} ${maxVersion} with ${JSON.stringify(ecdhCurves)}: ${got}`);
          }
        }
      }
    });
  }

  test("two proxies agree on a post-quantum group, as two Envoys do", async (t) => {
    const heard: string[] = [];
    for (const over of [{}, { ecdhCurves: ["X25519MLKEM768", "X25519"] }])
      assert.match(await shake(t, built(over, true, heard), built(over, false, heard)), /^X25519MLKEM768 TLS_AES/);
    assert.deepEqual(heard, []);
  });

  test("a group that is configured alone is the only one", async (t) => {
    assert.equal(await shake(t, built({ ecdhCurves: ["X25519MLKEM768"] }, true), free({ ecdhCurve: "X25519" })), "refused");
  });

  test("without cipher suites TLS 1.2 has Envoy's, all of them with forward secrecy", async (t) => {
    for (const [cipher, taken] of [
      ["ECDHE-ECDSA-AES128-GCM-SHA256", true],
      ["ECDHE-RSA-AES128-GCM-SHA256", true],
      ["ECDHE-ECDSA-CHACHA20-POLY1305", true],
      ["ECDHE-RSA-AES256-GCM-SHA384", true],
      ["AES128-GCM-SHA256", false],
      ["ECDHE-RSA-AES128-SHA", false],
      ["DHE-RSA-AES128-GCM-SHA256", false],
    ] as const) {
      const got = await shake(t, built({}, true), free({ ciphers: cipher, maxVersion: "TLSv1.2" }));
      assert.equal(got !== "refused", taken, `${cipher}: ${got}`);
    }
  });

  test("a group that OpenSSL does not know is left out with a word, and nothing is left of none", () => {
    const heard: string[] = [];
    built({ ecdhCurves: ["X25519", "P-999"] }, true, heard);
    assert.deepEqual(heard, ["curve not known to OpenSSL was left out: P-999"]);
    assert.throws(() => built({ ecdhCurves: ["P-999"] }, true), /none of the configured curves/);
  });
});
