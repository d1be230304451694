import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { createSigningRequest } from "../../../../src/identity/ca/signing-request.ts";
import { readSigningRequest } from "../../../support/identity/read-signing-request.ts";

const uri = "spiffe://cluster.local/ns/default/sa/sleep";

test("a request carries its key and proves to hold it", () => {
  for (const { privateKey } of [generateKeyPairSync("ec", { namedCurve: "P-256" }), generateKeyPairSync("rsa", { modulusLength: 2048 })]) {
    const request = createSigningRequest(privateKey, uri);
    const key = readSigningRequest(request);
    assert.ok(key?.equals(createPublicKey(privateKey)));
    assert.ok(Buffer.from(request.replace(/-----[^-]+-----|\n/g, ""), "base64").includes(uri));
  }
});
