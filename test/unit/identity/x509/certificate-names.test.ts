// Names out of DER: raw values, RFC 2253 text, and bytes that are no certificate.
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { suite, test } from "node:test";
import { leafNames, noNames, readCertificateNames } from "../../../../src/identity/x509/certificate-names.ts";
import { makeCa } from "../../../support/certs.ts";
import { seededRandom } from "../../../support/cluster-models.ts";

const ca = makeCa("the root");
const issued = ca.issue({
  o: "lab, Ltd.",
  cn: " #clé",
  uri: ["spiffe://a/b"],
  dns: ["x.y", "nul\0inside"],
  email: ["a@b"],
  ip: [Buffer.from([1, 2, 3, 4]), Buffer.from("20010db8000000000000000000000001", "hex"), Buffer.from([1, 2])],
});
const der = new X509Certificate(issued.cert).raw;

suite("names of a certificate", () => {
  test("SANs are raw, in order and by type; addresses are text", () => {
    const { sans, uriSans, dnsSans } = readCertificateNames(der);
    assert.deepEqual(
      sans.map(({ type, value }) => [type, value]),
      [
        ["URI", "spiffe://a/b"],
        ["DNS", "x.y"],
        ["DNS", "nul\0inside"],
        ["EMAIL", "a@b"],
        ["IP_ADDRESS", "1.2.3.4"],
        ["IP_ADDRESS", "2001:db8::1"],
      ],
    );
    assert.deepEqual([uriSans, dnsSans], [["spiffe://a/b"], ["x.y", "nul\0inside"]]);
  });

  test("subject and issuer are RFC 2253, last part first, specials and non-ASCII escaped", () => {
    const { subject, issuer } = readCertificateNames(der);
    assert.deepEqual([subject, issuer], ["O=lab\\, Ltd.,CN=\\ #cl\\C3\\A9", "O=test,CN=the root"]);
  });

  test("a certificate without subject has an empty one", () => {
    assert.equal(leafNames(ca.issue({ dns: ["a.b"] }).cert).subject, "");
  });

  test("the first certificate of a chain counts; no PEM has no names", () => {
    assert.equal(leafNames(`${issued.cert}${ca.cert}`).uriSans[0], "spiffe://a/b");
    assert.deepEqual([leafNames(undefined), leafNames("nonsense")], [noNames, noNames]);
  });

  test("every prefix of a certificate is read without a throw and without a name it does not have", () => {
    for (let length = 0; length < der.length; length++) assert.deepEqual(readCertificateNames(der.subarray(0, length)), noNames);
  });

  test("damaged certificates are read without a throw", () => {
    const random = seededRandom(42);
    for (let i = 0; i < 3_000; i++) {
      const damaged = Buffer.from(der);
      for (let n = 0; n < 4; n++) damaged[Math.floor(random() * damaged.length)] = Math.floor(random() * 256);
      assert.doesNotThrow(() => readCertificateNames(damaged));
    }
  });
});
