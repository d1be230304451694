// What a Gateway may say of TLS, and how a mistake in one is reported.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { readGateway } from "../../../../../src/source/mesh/istio/gateway.ts";
import { Fields, IssueSink } from "../../../../../src/source/mesh/object/fields.ts";

function problems(...servers: readonly Readonly<Record<string, unknown>>[]): readonly string[] {
  const sink = new IssueSink();
  readGateway(new Fields({ spec: { servers } }, [], sink));
  return sink.issues.map(({ severity, path, message }) => `${severity} ${path.slice(2).join(".")}: ${message}`);
}

const https = (tls: unknown, protocol = "HTTPS"): Readonly<Record<string, unknown>> => ({
  port: { number: 443, name: "p", protocol },
  hosts: ["*"],
  ...(tls === undefined ? {} : { tls }),
});

const files = { serverCertificate: "/c", privateKey: "/k" };

suite("Gateway", () => {
  const fine: readonly unknown[] = [
    { mode: "SIMPLE", credentialName: "a" },
    { mode: "SIMPLE", ...files },
    { mode: "SIMPLE", credentialNames: ["rsa", "ecdsa"], httpsRedirect: true },
    { mode: "MUTUAL", credentialName: "a", subjectAltNames: ["x"], verifyCertificateSpki: ["aa"], verifyCertificateHash: ["bb"] },
    { mode: "MUTUAL", credentialName: "a", caCertCredentialName: "b" },
    { mode: "OPTIONAL_MUTUAL", ...files, caCertificates: "/ca" },
    { mode: "ISTIO_MUTUAL", subjectAltNames: ["spiffe://x"] },
    { mode: "PASSTHROUGH" },
    { mode: "SIMPLE", credentialName: "a", minProtocolVersion: "TLSV1_2", maxProtocolVersion: "TLSV1_3", cipherSuites: ["AES128-SHA"] },
  ];
  test("every mode with what it needs is accepted without a word", () => {
    for (const tls of fine) assert.deepEqual(problems(https(tls)), [], JSON.stringify(tls));
    assert.deepEqual(problems(https(undefined, "TCP")), []);
    assert.deepEqual(problems(https({ httpsRedirect: true }, "HTTP")), []);
  });

  const mistakes: readonly (readonly [string, unknown, RegExp, string?])[] = [
    ["HTTPS without TLS settings", undefined, /error 0\.tls: is missing, expected a mode for protocol HTTPS/],
    ["TCP with TLS settings", { mode: "SIMPLE", credentialName: "a" }, /error 0\.tls: is given for protocol TCP/, "TCP"],
    ["an unknown mode", { mode: "EASY" }, /error 0\.tls\.mode: is "EASY"/],
    ["SIMPLE without certificate", { mode: "SIMPLE" }, /error 0\.tls\.serverCertificate: is missing/],
    ["SIMPLE without key", { mode: "SIMPLE", serverCertificate: "/c" }, /error 0\.tls\.privateKey: is missing/],
    ["MUTUAL without authorities", { mode: "MUTUAL", ...files }, /error 0\.tls\.caCertificates: is missing/],
    [
      "names of clients that nobody verifies",
      { mode: "SIMPLE", credentialName: "a", subjectAltNames: ["x"] },
      /error 0\.tls\.subjectAltNames/,
    ],
    ["a credential in mode ISTIO_MUTUAL", { mode: "ISTIO_MUTUAL", credentialName: "a" }, /error 0\.tls\.credentialName: is given in mode/],
    ["a credential where TLS passes through", { credentialName: "a" }, /warning 0\.tls\.credentialName: has no effect/],
    ["two ways to name credentials", { mode: "SIMPLE", credentialName: "a", credentialNames: ["b"] }, /error 0\.tls\.credentialNames/],
    ["a revocation list beside a Secret", { mode: "MUTUAL", credentialName: "a", caCrl: "/crl" }, /error 0\.tls\.caCrl: is given beside/],
    [
      "versions the wrong way round",
      { mode: "SIMPLE", credentialName: "a", minProtocolVersion: "TLSV1_3", maxProtocolVersion: "TLSV1_2" },
      /error 0\.tls\.minProtocolVersion: is TLSV1_3, above/,
    ],
    [
      "an unknown suite beside others",
      { mode: "SIMPLE", credentialName: "a", cipherSuites: ["X", "AES128-SHA"] },
      /warning .*left out: X$/,
    ],
    [
      "unknown suites alone",
      { mode: "SIMPLE", credentialName: "a", cipherSuites: ["X"] },
      /error 0\.tls\.cipherSuites: names no known suite/,
    ],
  ];
  for (const [title, tls, expected, protocol] of mistakes) {
    test(`${title} is named with its path`, () => {
      assert.match(problems(https(tls, protocol)).join("\n"), expected);
    });
  }

  test("two servers of one port name are an error", () => {
    assert.match(
      problems(https({ mode: "PASSTHROUGH" }), https({ mode: "PASSTHROUGH" })).join("\n"),
      /error 1\.port: repeats the name "p"/,
    );
  });
});
