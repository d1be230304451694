import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { createSigningRequest, readSigningRequest } from "../../../../src/identity/ca/signing-request.ts";

const uri = "spiffe://cluster.local/ns/default/sa/sleep";

test("a request carries its key and proves to hold it", () => {
  for (const { privateKey } of [generateKeyPairSync("ec", { namedCurve: "P-256" }), generateKeyPairSync("rsa", { modulusLength: 2048 })]) {
    const request = createSigningRequest(privateKey, uri);
    const key = readSigningRequest(request);
    assert.ok(key?.equals(createPublicKey(privateKey)));
    assert.ok(Buffer.from(request.replace(/-----[^-]+-----|\n/g, ""), "base64").includes(uri));
  }
});

test("whatever bytes of a request are changed, it is refused or its key still fits", () => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const body = createSigningRequest(privateKey, uri).replace(/-----[^-]+-----|\n/g, "");
  const own = createPublicKey(privateKey);
  let seed = 7;
  const next = (below: number): number => (seed = (seed * 1_103_515_245 + 12_345) % 0x7fffffff) % below;
  let refused = 0;
  for (let i = 0; i < 300; i++) {
    const der = Buffer.from(body, "base64");
    der[next(der.length)]! ^= 1 + next(255);
    const cut = next(4) === 0 ? der.subarray(0, next(der.length)) : der;
    const key = readSigningRequest(`-----BEGIN CERTIFICATE REQUEST-----\n${cut.toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`);
    if (key === undefined) refused++;
    else assert.ok(key.equals(own));
  }
  assert.ok(refused > 250, String(refused));
  assert.equal(readSigningRequest("nothing"), undefined);
});
