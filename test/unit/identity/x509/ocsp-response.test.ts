import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { isAbout, mustStaple, readOcspResponse } from "../../../../src/identity/x509/ocsp-response.ts";
import { X509Certificate } from "node:crypto";
import { makeCa } from "../../../support/certs.ts";

suite("OCSP responses", () => {
  const ca = makeCa("ocsp");
  const [own, others] = [ca.issue(), ca.issue()];
  const untilMs = Date.UTC(2031, 4, 6, 7, 8, 9);
  const response = ca.vouchFor(own.cert, untilMs);

  test("say whom they are about and until when", () => {
    const read = readOcspResponse(response);
    assert.equal(read?.nextUpdateMs, untilMs);
    assert.equal(isAbout(read, new X509Certificate(own.cert).serialNumber), true);
    assert.equal(isAbout(read, new X509Certificate(others.cert).serialNumber), false);
    assert.equal(mustStaple(new X509Certificate(own.cert).raw), false);
  });

  test("that are none are none, cut or changed anywhere", () => {
    assert.equal(readOcspResponse(Buffer.from("30030a0106", "hex")), undefined);
    for (let end = 0; end < response.length; end++) assert.doesNotThrow(() => readOcspResponse(response.subarray(0, end)));
    for (let at = 0; at < response.length; at++) {
      const changed = Buffer.from(response);
      changed[at] = (changed[at] ?? 0) ^ 0xff;
      assert.doesNotThrow(() => readOcspResponse(changed));
    }
  });
});
