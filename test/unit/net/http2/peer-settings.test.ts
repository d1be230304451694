// What a peer's SETTINGS change, and which of them are errors.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { defaultHttp2Options } from "../../../../src/envoy/http2-options.ts";
import { PeerSettings } from "../../../../src/net/http2/peer-settings.ts";
import type { SessionOptions } from "../../../../src/net/http2/session-options.ts";
import { HpackEncoder } from "../../../../src/wire/hpack/encoder.ts";
import { h2Error, settingId } from "../../../../src/wire/http2/frame.ts";

const settings = (role: SessionOptions["role"]): PeerSettings => {
  const messages = { maxBytes: 60 * 1024, maxHeaders: 100, underscores: "ALLOW" } as const;
  const options: SessionOptions = { ...defaultHttp2Options, floods: defaultHttp2Options, role, malformedEndsStream: true, messages };
  return new PeerSettings(options, new HpackEncoder(4096));
};

const { noError, protocolError, flowControlError } = h2Error;

suite("settings of a peer", () => {
  test("streams and the window of new streams are taken in", () => {
    const peer = settings("client");
    assert.deepEqual([peer.maxStreams, peer.streamWindowBytes], [Infinity, 65_535]);
    assert.equal(peer.apply(settingId.maxConcurrentStreams, 7), noError);
    assert.equal(peer.apply(settingId.initialWindowSize, 12), noError);
    assert.deepEqual([peer.maxStreams, peer.streamWindowBytes], [7, 12]);
  });

  const cases = [
    ["server", settingId.enablePush, 1, noError],
    ["server", settingId.enablePush, 2, protocolError],
    ["client", settingId.enablePush, 0, noError],
    ["client", settingId.enablePush, 1, protocolError],
    ["server", settingId.initialWindowSize, 2 ** 31 - 1, noError],
    ["server", settingId.initialWindowSize, 2 ** 31, flowControlError],
    ["server", settingId.maxFrameSize, 16_383, protocolError],
    ["server", settingId.maxFrameSize, 16_384, noError],
    ["server", settingId.maxFrameSize, 2 ** 24 - 1, noError],
    ["server", settingId.maxFrameSize, 2 ** 24, protocolError],
    ["client", settingId.enableConnectProtocol, 1, noError],
    ["client", settingId.enableConnectProtocol, 2, protocolError],
    ["client", 0xffff, 2 ** 32 - 1, noError],
  ] as const;
  for (const [role, id, value, error] of cases) {
    test(`to a ${role}, setting ${id} = ${value} is ${error === noError ? "fine" : `error ${error}`}`, () => {
      const peer = settings(role);
      assert.equal(peer.apply(id, value), error);
      if (error !== noError) assert.equal(peer.streamWindowBytes, 65_535);
    });
  }
});
