import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { suite, test } from "node:test";
import type { CommonTlsContext } from "../../../src/envoy/tls/tls.ts";
import { chainFailure, verifyFailureReason } from "../../../src/identity/failure-reason.ts";
import { createRootHints, RefusalLog } from "../../../src/identity/foreign-root.ts";
import type { Logger } from "../../../src/telemetry/logger.ts";
import { makeCa } from "../../support/certs.ts";
import { makeIntermediate, makeRoot, makeWorkload, pemOf } from "../../support/identity/authorities.ts";
import { manualClock } from "../../support/manual-clock.ts";

const context: CommonTlsContext = {
  cipherSuites: [],
  ecdhCurves: [],
  certificates: [],
  certificateSecrets: ["default"],
  validationSecret: "ROOTCA",
  alpnProtocols: [],
};
const materialOf = (chain: string) => ({ certificates: [{ certificateChain: chain, privateKey: "" }], validation: undefined });
const ours = materialOf(pemOf(makeWorkload(makeIntermediate(makeRoot(), "cluster1"), "sleep")).chain);
const theirs = makeWorkload(makeIntermediate(makeRoot(), "cluster2"), "httpbin").certificate;
const unknown = chainFailure("UNABLE_TO_GET_ISSUER_CERT_LOCALLY");

suite("hints about foreign roots", () => {
  test("name the clusters", () => {
    const hints = createRootHints(context, ours);
    const said = "certificate signed by unknown authority: root of cluster2 is not in cluster1's root-cert.pem";
    assert.equal(hints.ofPeer(unknown, theirs), said);
    assert.ok(verifyFailureReason(unknown, said).endsWith(`unable to get local issuer certificate:TLS_error_end (${said})`));
    assert.equal(
      hints.ofSelf("ERR_SSL_TLSV1_ALERT_UNKNOWN_CA"),
      "certificate signed by unknown authority: root of cluster1 is not in the peer's root-cert.pem",
    );
  });

  test("name the issuer where there is no cluster", () => {
    const issued = makeCa("elsewhere").issue();
    assert.match(
      createRootHints(context, ours).ofPeer(unknown, new X509Certificate(issued.cert)) ?? "",
      /the issuer \S*CN=elsewhere\S* is not in cluster1's root-cert\.pem/,
    );
    const nameless = createRootHints(context, materialOf(issued.chain));
    assert.match(nameless.ofPeer(unknown, theirs) ?? "", /root of cluster2 is not in root-cert\.pem/);
    assert.match(nameless.ofSelf("ERR_SSL_TLSV1_ALERT_UNKNOWN_CA") ?? "", /the issuer \S*CN=elsewhere\S* is not in the peer's/);
  });

  test("are given for authorities alone, and where the roots are the mesh's", () => {
    const hints = createRootHints(context, ours);
    assert.equal(hints.ofPeer(chainFailure("CERT_HAS_EXPIRED"), theirs), undefined);
    assert.equal(hints.ofPeer({ detail: "SAN matcher", alert: 46, kind: "san" }, theirs), undefined);
    assert.equal(hints.ofSelf("ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED"), undefined);
    const { validationSecret: _own, ...inline } = context;
    assert.equal(createRootHints(inline, ours).ofPeer(unknown, theirs), undefined);
  });
});

test("a refusal is logged once a minute", () => {
  const clock = manualClock();
  const lines: string[] = [];
  const nothing = (): void => undefined;
  const logger: Logger = {
    debug: nothing,
    info: nothing,
    error: nothing,
    warn: (message) => void lines.push(message),
    child: () => logger,
  };
  const log = new RefusalLog(clock, logger);
  for (let i = 0; i < 5; i++) log.refused("server", "why", "peer");
  log.refused("own", "why", "peer");
  assert.deepEqual(lines, ["server certificate refused", "own certificate refused by the peer"]);
  clock.advance(60_000);
  log.refused("server", "why", "peer");
  assert.equal(lines.length, 3);
});
