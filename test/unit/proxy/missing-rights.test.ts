// What a proxy says that may not open the sockets it is asked for.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { missingRights, processRights, type Rights } from "../../../src/proxy/missing-rights.ts";
import { listener } from "../../support/listener-models.ts";

const all: Rights = { effectiveUid: 0, netAdmin: true, libc: true };
const plain = listener("plain", []);
const transparent = listener("virtualOutbound", [], { transparent: true });
const inbound = listener("virtualInbound", [], {
  transparent: true,
  listenerFilters: [
    { name: "", extension: "envoy.filters.listener.original_src", config: { bindPort: false, mark: 1337 }, disabled: false },
  ],
});

suite("missing rights", () => {
  for (const [what, listeners, rights, expected] of [
    ["nothing, where no listener is transparent", [plain], { effectiveUid: 1337, netAdmin: false, libc: false }, undefined],
    ["nothing, where all is given", [transparent, inbound], all, undefined],
    ["nothing, where capabilities cannot be read", [inbound], { ...all, netAdmin: undefined }, undefined],
    ["nothing, for a listener that is not bound", [{ ...transparent, bindToPort: false }], { ...all, netAdmin: false }, undefined],
    ["the capability", [transparent], { ...all, netAdmin: false }, /^transparent listeners .* need the capability CAP_NET_ADMIN [^,]*; /],
    ["koffi", [inbound], { ...all, libc: false }, /need the package koffi on Linux/],
    ["another user", [inbound], { ...all, effectiveUid: 1337 }, /need another user than 1337, /],
    ["two things at once", [inbound], { ...all, effectiveUid: 1337, netAdmin: false }, /CAP_NET_ADMIN .*, and another user than 1337/],
  ] as const) {
    test(what, () => {
      const said = missingRights(listeners, rights);
      if (expected === undefined) assert.equal(said, undefined);
      else assert.match(said ?? "", expected);
    });
  }

  test("this process's own can be read", () => assert.equal(processRights().effectiveUid, process.geteuid?.()));
});
