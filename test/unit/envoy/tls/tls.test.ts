import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { decodeDownstreamTlsContext, decodeSecret, decodeUpstreamTlsContext } from "../../../../src/envoy/tls/tls-decoder.ts";
import { accepted, context, issuesOf, pem } from "../decoding.ts";

const certificate = { certificate_chain: { inline_string: pem.certificate }, private_key: { inline_string: pem.key } };
const secret = (name: string): object => ({ name, sds_config: { api_config_source: { api_type: "GRPC" } } });

suite("TLS contexts", () => {
  test("of a server carry certificates and what is asked of clients", () => {
    const value = accepted(decodeDownstreamTlsContext, {
      require_client_certificate: true,
      common_tls_context: {
        tls_params: {
          tls_minimum_protocol_version: "TLSv1_2",
          tls_maximum_protocol_version: "TLSv1_3",
          cipher_suites: ["ECDHE-RSA-AES128-GCM-SHA256"],
        },
        alpn_protocols: ["h2", "http/1.1"],
        tls_certificates: [certificate],
        validation_context: {
          trusted_ca: { inline_string: pem.certificate },
          match_typed_subject_alt_names: [{ san_type: "URI", matcher: { prefix: "spiffe://" } }],
        },
      },
    });
    assert.equal(value.requireClientCertificate, true);
    assert.equal(value.common.minVersion, "TLSv1.2");
    assert.deepEqual(value.common.certificates, [{ certificateChain: pem.certificate, privateKey: pem.key }]);
    assert.deepEqual(value.common.validation?.matchSubjectAltNames, [
      { sanType: "URI", matcher: { kind: "prefix", value: "spiffe://", ignoreCase: false } },
    ]);
  });

  test("name their secrets, and match names whose CA comes with one", () => {
    const value = accepted(decodeUpstreamTlsContext, {
      sni: "outbound_.80_._.a",
      common_tls_context: {
        tls_certificate_sds_secret_configs: [secret("default")],
        combined_validation_context: {
          default_validation_context: { match_subject_alt_names: [{ exact: "spiffe://a" }] },
          validation_context_sds_secret_config: secret("ROOTCA"),
        },
      },
    });
    assert.deepEqual(value.common.certificateSecrets, ["default"]);
    assert.equal(value.common.validationSecret, "ROOTCA");
    assert.deepEqual(value.common.validation?.matchSubjectAltNames, [
      { sanType: "any", matcher: { kind: "exact", value: "spiffe://a", ignoreCase: false } },
    ]);
  });

  test("leave the versions to the library where they are automatic", () => {
    const value = accepted(decodeUpstreamTlsContext, { common_tls_context: { tls_params: { tls_minimum_protocol_version: "TLS_AUTO" } } });
    assert.equal(Object.hasOwn(value.common, "minVersion"), false);
  });

  test("read files through the context and variables from the environment", () => {
    const value = accepted(
      decodeSecret,
      { name: "s", tls_certificate: { certificate_chain: { filename: "a.pem" }, private_key: { environment_variable: "KEY" } } },
      {
        ...context,
        readFile: (path) => (path === "a.pem" ? Buffer.from(pem.certificate) : { error: "no" }),
        environment: (name) => (name === "KEY" ? pem.key : undefined),
      },
    );
    assert.deepEqual(value.certificate, { certificateChain: pem.certificate, privateKey: pem.key });
  });

  test("write certificate hashes in one form", () => {
    const value = accepted(decodeUpstreamTlsContext, {
      common_tls_context: { validation_context: { verify_certificate_hash: [`${"AB:".repeat(31)}AB`] } },
    });
    assert.deepEqual(value.common.validation?.verifyCertificateHash, ["ab".repeat(32)]);
  });

  const common = (fields: object): object => ({ common_tls_context: { tls_certificates: [certificate], ...fields } });
  const chain = "common_tls_context.tls_certificates[0].certificate_chain";
  for (const [title, json, expected] of [
    [
      "an unreadable file, naming it",
      common({ tls_certificates: [{ ...certificate, certificate_chain: { filename: "gone.pem" } }] }),
      [`error ${chain}.filename: cannot read gone.pem: there is no such file`],
    ],
    [
      "a variable that is not set",
      common({ tls_certificates: [{ ...certificate, certificate_chain: { environment_variable: "NOT_SET" } }] }),
      [`error ${chain}.environment_variable: the environment variable NOT_SET is not set`],
    ],
    [
      "a file that holds something else",
      common({ tls_certificates: [{ ...certificate, certificate_chain: { inline_string: "x" } }] }),
      [`error ${chain}: expected PEM with a CERTIFICATE block, found none`],
    ],
    [
      "a certificate without its key",
      common({ tls_certificates: [{ certificate_chain: { inline_string: pem.certificate } }] }),
      ["error common_tls_context.tls_certificates[0].private_key: required, but not given"],
    ],
    [
      "a server without a certificate",
      { common_tls_context: {} },
      ["error common_tls_context: a server needs tls_certificates or tls_certificate_sds_secret_configs"],
    ],
    [
      "names matched without a CA",
      common({ validation_context: { match_subject_alt_names: [{ exact: "a" }] } }),
      [
        "error common_tls_context.validation_context: subject alternative names are matched, but there is no trusted_ca to verify the certificate with",
      ],
    ],
    [
      "versions the wrong way round",
      common({ tls_params: { tls_minimum_protocol_version: "TLSv1_3", tls_maximum_protocol_version: "TLSv1_2" } }),
      ["error common_tls_context.tls_params.tls_minimum_protocol_version: above the maximum version TLSv1.2"],
    ],
    [
      "a setting of the handshake that would be lost",
      common({ tls_params: { signature_algorithms: ["ed25519"] } }),
      ["error common_tls_context.tls_params.signature_algorithms: is not supported, and leaving it out could change who may reach whom"],
    ],
    [
      "a depth limit that would be lost",
      common({ validation_context: { max_verify_depth: 1 } }),
      [
        "error common_tls_context.validation_context.max_verify_depth: is not supported, and leaving it out could change who may reach whom",
      ],
    ],
    [
      "a custom validator",
      common({ validation_context: { custom_validator_config: {} } }),
      ["error common_tls_context.validation_context.custom_validator_config: not supported: custom validators"],
    ],
    [
      "a hash that is none",
      common({ validation_context: { verify_certificate_hash: ["ab"] } }),
      ["error common_tls_context.validation_context.verify_certificate_hash[0]: expected a SHA-256 hash as 64 hexadecimal digits"],
    ],
    ["session settings, as warnings", { ...common({}), session_timeout: "60s" }, ["warning session_timeout: is not honoured"]],
  ] as const) {
    test(`report ${title}`, () => assert.deepEqual(issuesOf(decodeDownstreamTlsContext, json), expected));
  }

  test("never quote key material", () => {
    const issues = issuesOf(decodeSecret, {
      name: "s",
      tls_certificate: { certificate_chain: { inline_string: "TOPSECRET" }, private_key: { inline_string: "TOPSECRET" } },
    });
    assert.equal(issues.length, 2);
    assert.ok(!issues.join().includes("TOPSECRET"));
  });
});
