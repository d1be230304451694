// What the ClientHello reader says about real hellos, crafted ones, every prefix of them, and random damage.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { inspectClientHello } from "../../../src/wire/client-hello.ts";
import {
  alpnExtension,
  captureClientHello,
  extension,
  helloMessage,
  records,
  serverNameExtension,
  vector,
} from "../../support/client-hello.ts";
import { seededRandom } from "../../support/cluster-models.ts";

suite("client hello", () => {
  test("reads server name and ALPN of a real client's hello", async () => {
    const bytes = await captureClientHello({ servername: "a.example.com", ALPNProtocols: ["istio", "http/1.1"] });
    assert.deepEqual(inspectClientHello(bytes), { kind: "hello", serverName: "a.example.com", alpn: ["istio", "http/1.1"] });
  });

  test("reads a hello without server name and ALPN", async () => {
    const bytes = await captureClientHello({ maxVersion: "TLSv1.2" });
    assert.deepEqual(inspectClientHello(bytes), { kind: "hello", alpn: [] });
  });

  test("reads the long server names of a mesh and of post-quantum hellos", async () => {
    const name = "outbound_.8000_._.httpbin.default.svc.cluster.local";
    const bytes = await captureClientHello({ servername: name, ecdhCurve: "X25519MLKEM768" });
    assert.ok(bytes.length > 1_200, `a post-quantum key share is large, got ${bytes.length}`);
    assert.deepEqual(inspectClientHello(bytes), { kind: "hello", serverName: name, alpn: [] });
  });

  test("says incomplete for every proper prefix and hello for the whole", async () => {
    const real = await captureClientHello({ servername: "a.example.com", ALPNProtocols: ["h2"] });
    const split = records(helloMessage([serverNameExtension("b.example.com")]), 7);
    for (const bytes of [real, split]) {
      for (let length = 0; length < bytes.length; length++) {
        assert.equal(inspectClientHello(bytes.subarray(0, length)).kind, "incomplete", `${length} of ${bytes.length} bytes`);
      }
      assert.equal(inspectClientHello(bytes).kind, "hello");
    }
  });

  const message = (...extensions: Buffer[]): Buffer => records(helloMessage(extensions));
  const hello = (serverName: string | undefined, ...alpn: string[]): object =>
    serverName === undefined ? { kind: "hello", alpn } : { kind: "hello", serverName, alpn };
  const grease = extension(0x2a2a, Buffer.from([0]));
  const cases: readonly (readonly [string, Buffer, object])[] = [
    ["one byte a record", records(helloMessage([serverNameExtension("x.test"), alpnExtension("h2")]), 1), hello("x.test", "h2")],
    [
      "GREASE before, between and after",
      message(grease, serverNameExtension("x.test"), grease, alpnExtension("h2"), grease),
      hello("x.test", "h2"),
    ],
    ["upper case in the name", message(serverNameExtension("A.Example.COM")), hello("a.example.com")],
    [
      "bytes of the next message behind the hello",
      Buffer.concat([message(serverNameExtension("x.test")), records(Buffer.from([20, 0, 0]))]),
      hello("x.test"),
    ],
    ["no extensions block", records(helloMessage(undefined)), hello(undefined)],
    ["an empty extensions block", message(), hello(undefined)],
    ["a hello of 40,000 bytes", message(extension(21, Buffer.alloc(40_000)), serverNameExtension("x.test")), hello("x.test")],
    ["HTTP", Buffer.from("GET / HTTP/1.1\r\n\r\n"), { kind: "not-tls" }],
    ["SSLv2", Buffer.from([0x80, 0x2e, 1, 3, 1]), { kind: "not-tls" }],
    ["a TLS alert", Buffer.from([21, 3, 1, 0, 2, 2, 40]), { kind: "not-tls" }],
    ["another major version", Buffer.from([22, 2, 1, 0, 5]), { kind: "not-tls" }],
  ];
  for (const [title, bytes, expected] of cases) test(`understands ${title}`, () => assert.deepEqual(inspectClientHello(bytes), expected));

  const refused: readonly (readonly [string, Buffer])[] = [
    ["a ServerHello", records(Buffer.from([2, 0, 0, 1, 0]))],
    ["an empty record", Buffer.from([22, 3, 1, 0, 0])],
    ["a record beyond 16 KiB", Buffer.from([22, 3, 1, 0x40, 1, 1])],
    [
      "an alert between two parts of the hello",
      Buffer.concat([records(helloMessage([]).subarray(0, 9)), Buffer.from([21, 3, 1, 0, 2, 2, 40])]),
    ],
    ["an empty hello", records(Buffer.from([1, 0, 0, 0]))],
    ["a hello that ends in its fixed part", records(Buffer.concat([Buffer.from([1]), vector(3, Buffer.alloc(20, 3))]))],
    ["bytes behind the extensions", records(Buffer.concat([Buffer.from([1]), vector(3, helloMessage([]).subarray(4), Buffer.from([0]))]))],
    ["two server names", message(serverNameExtension("a.test"), serverNameExtension("b.test"))],
    ["two ALPN lists", message(alpnExtension("h2"), alpnExtension("h2"))],
    ["an empty server name", message(serverNameExtension(""))],
    ["a NUL in the server name", message(serverNameExtension("a\0.test"))],
    ["a server name beyond 255 bytes", message(serverNameExtension("a".repeat(256)))],
    ["a server name list that overruns", message(extension(0, Buffer.from([0, 9, 0, 0, 1, 97])))],
    ["an empty ALPN list", message(alpnExtension())],
    ["an empty ALPN name", message(alpnExtension("h2", ""))],
    ["an extension that overruns", records(helloMessage([Buffer.from([0, 16, 0, 9, 0])]))],
  ];
  for (const [title, bytes] of refused) test(`refuses ${title}`, () => assert.equal(inspectClientHello(bytes).kind, "invalid"));

  test("keeps names apart that differ outside ASCII", () => {
    const found = inspectClientHello(message(serverNameExtension(Buffer.from([0xc4, 0x2e, 0x41]))));
    assert.deepEqual(found, { kind: "hello", serverName: "\u00c4.a", alpn: [] });
  });

  test("never throws and never invents on damaged hellos", async () => {
    const random = seededRandom(20_260_101);
    const origin = await captureClientHello({ servername: "a.example.com", ALPNProtocols: ["h2", "http/1.1"] });
    for (let round = 0; round < 20_000; round++) {
      const bytes = Buffer.from(origin);
      for (let hits = 1 + Math.floor(random() * 4); hits > 0; hits--)
        bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      const found = inspectClientHello(bytes.subarray(0, 1 + Math.floor(random() * bytes.length)));
      assert.ok(["hello", "incomplete", "not-tls", "invalid"].includes(found.kind));
      if (found.kind === "hello") assert.ok((found.serverName ?? "").length <= 255 && found.alpn.every((name) => name.length > 0));
    }
  });
});
