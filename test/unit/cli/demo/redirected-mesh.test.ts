// The sample mesh rewritten for pods that have addresses of their own.
import assert from "node:assert/strict";
import { test } from "node:test";
import { redirected } from "../../../../src/cli/demo/redirected-mesh.ts";

test("addresses move from loopback, interception is on, and the annotation against it goes", () => {
  const text = `a: 127.1.0.10
id: sidecar~127.2.0.20~httpbin
host: 127.0.0.1
    INTERCEPTION_MODE: NONE
metadata:
  name: httpbin
  # Why.
  annotations: {traffic.sidecar.istio.io/includeOutboundIPRanges: ""}
spec: {}
`;
  assert.equal(
    redirected(text),
    `a: 10.1.0.10
id: sidecar~10.2.0.20~httpbin
host: 127.0.0.1
    INTERCEPTION_MODE: REDIRECT
metadata:
  name: httpbin
spec: {}
`,
  );
});
