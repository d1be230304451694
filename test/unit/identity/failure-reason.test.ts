// Node's and OpenSSL's errors in Envoy's words.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { chainFailure, tlsErrorReason, verifyFailureReason } from "../../../src/identity/failure-reason.ts";

const ssl = (number: number, name: string): string => `TLS_error:|${number}:SSL routines:OPENSSL_internal:${name}:TLS_error_end`;
const cases: readonly [code: string, syscall: string | undefined, reason: string | undefined][] = [
  ["ERR_SSL_WRONG_VERSION_NUMBER", undefined, ssl(268435703, "WRONG_VERSION_NUMBER")],
  ["ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE", undefined, ssl(268436496, "SSLV3_ALERT_HANDSHAKE_FAILURE")],
  ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", undefined, ssl(268436504, "TLSV1_ALERT_UNKNOWN_CA")],
  ["ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", undefined, ssl(268436572, "TLSV1_ALERT_CERTIFICATE_REQUIRED")],
  ["ERR_SSL_SOMETHING_NEW", undefined, "TLS_error:|SSL routines:OPENSSL_internal:SOMETHING_NEW:TLS_error_end"],
  ["ECONNRESET", "read", "TLS_error:|33554536:system library:OPENSSL_internal:Connection reset by peer:TLS_error_end"],
  ["ECONNRESET", undefined, undefined],
];

suite("TLS failure reasons", () => {
  for (const [code, syscall, reason] of cases) {
    test(`${code}${syscall === undefined ? "" : ` from ${syscall}`}`, () => {
      const error: NodeJS.ErrnoException = new Error("words of OpenSSL");
      error.code = code;
      if (syscall !== undefined) error.syscall = syscall;
      assert.equal(tlsErrorReason(error), reason);
    });
  }

  const alerts: readonly [code: string, alert: number][] = [
    ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", 48],
    ["SELF_SIGNED_CERT_IN_CHAIN", 48],
    ["CERT_HAS_EXPIRED", 45],
    ["CERT_REVOKED", 44],
    ["INVALID_PURPOSE", 43],
    ["NOT_KNOWN_TO_US", 46],
  ];
  for (const [code, alert] of alerts) test(`${code} is told by alert ${alert}`, () => assert.equal(chainFailure(code).alert, alert));

  test("a refused certificate reads like Envoy's", () => {
    assert.equal(
      verifyFailureReason(chainFailure("CERT_HAS_EXPIRED")),
      ssl(268435581, "CERTIFICATE_VERIFY_FAILED").replace(
        ":TLS_error_end",
        ":verify cert failed: X509_verify_cert: certificate verification error at depth 0: certificate has expired:TLS_error_end",
      ),
    );
  });
});
