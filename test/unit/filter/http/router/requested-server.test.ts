import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { requestedServer } from "../../../../../src/filter/http/router/requested-server.ts";
import type { HttpStream } from "../../../../../src/http/stream.ts";
import { HeaderMap } from "../../../../../src/wire/header-map.ts";

const both = { sni: true, verify: true, header: "" };

suite("the server that a request asks for", () => {
  for (const [title, options, authority, header, expected] of [
    ["its host", both, "a.test", "", { sni: "a.test", verifyNames: ["a.test"], key: "a.test" }],
    ["its host without the port", both, "a.test:8443", "", { sni: "a.test", verifyNames: ["a.test"], key: "a.test" }],
    ["an address, which is verified and not sent", both, "192.0.2.1:80", "", { sni: "", verifyNames: ["192.0.2.1"], key: "192.0.2.1" }],
    ["an IPv6 address", both, "[2001:db8::1]:80", "", { sni: "", verifyNames: ["2001:db8::1"], key: "2001:db8::1" }],
    ["SNI alone", { ...both, verify: false }, "a.test", "", { sni: "a.test", verifyNames: [], key: "a.test" }],
    ["a header's host", { ...both, header: "x-server" }, "a.test", "b.test", { sni: "b.test", verifyNames: ["b.test"], key: "b.test" }],
    [
      "its host where the header is missing",
      { ...both, header: "x-server" },
      "a.test",
      "",
      { sni: "a.test", verifyNames: ["a.test"], key: "a.test" },
    ],
    ["nobody", both, "", "", undefined],
  ] as const) {
    test(title, () => {
      const headers = new HeaderMap();
      if (header !== "") headers.add("x-server", header);
      assert.deepEqual(requestedServer(options, { authority, headers } as unknown as HttpStream), expected);
    });
  }
});
