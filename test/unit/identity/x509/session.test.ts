import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { readSessionId } from "../../../../src/identity/x509/session.ts";

suite("session ids", () => {
  for (const [title, hex, id] of [
    ["of a session", "3011020101020203030402c02b0404deadbeef", "deadbeef"],
    ["of one without an id", "300d020101020203030402c02b0400", ""],
    ["of what is no session", "0401ff", ""],
    ["of nothing", "", ""],
    ["of one that is cut", "3011020101", ""],
  ] as const)
    test(title, () => assert.equal(readSessionId(Buffer.from(hex, "hex")), id));
});
