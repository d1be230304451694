// Descriptors that somebody else uses.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { suite, test } from "node:test";
import { holdDescriptor, resetSocket, socketFd } from "../../../src/net/descriptor.ts";
import { serve } from "../../support/tcp.ts";

suite("a held descriptor", () => {
  for (const [how, destroy] of [
    ["destroyed", (socket: Socket) => socket.destroy()],
    ["reset", (socket: Socket) => resetSocket(socket)],
  ] as const) {
    test(`stays open though its socket is ${how}, until it is given back`, async (t) => {
      const server = await serve(t, (peer) => peer.on("error", () => peer.destroy()).resume());
      const socket = connect(server.port, "127.0.0.1");
      await once(socket, "connect");
      const fd = socketFd(socket);
      let asked = 0;
      const giveBack = holdDescriptor(socket, () => asked++);
      let closed = false;
      socket.once("close", () => (closed = true));
      destroy(socket);
      destroy(socket);
      await new Promise(setImmediate);
      assert.deepEqual([asked, closed, socketFd(socket)], [1, false, fd]);
      const gone = once(socket, "close");
      giveBack();
      await gone;
      assert.equal(socketFd(socket), -1);
    });
  }

  test("is closed as ever once it was given back", async (t) => {
    const server = await serve(t, (peer) => peer.resume());
    const socket = connect(server.port, "127.0.0.1");
    await once(socket, "connect");
    holdDescriptor(socket, () => assert.fail("nobody destroyed it meanwhile"))();
    socket.destroy();
    await once(socket, "close");
  });
});
