import assert from "node:assert/strict";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { suite, test, type TestContext } from "node:test";
import { guardedFetch, isRefusedAddress } from "../../../src/proxy/guarded-fetch.ts";

const options = { timeoutMs: 5000, maxBytes: 100 };

async function serve(t: TestContext, answer: http.RequestListener): Promise<string> {
  const server = http.createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

suite("guarded fetch", () => {
  for (const [address, refused] of [
    ["169.254.169.254", true],
    ["169.253.255.255", false],
    ["fe80::1", true],
    ["fe80::1%eth0", true],
    ["febf::1", true],
    ["fec0::1", false],
    ["::ffff:169.254.169.254", true],
    ["::ffff:a9fe:a9fe", true],
    ["::169.254.169.254", true],
    ["64:ff9b::a9fe:a9fe", true],
    ["2002:a9fe:a9fe::1", true],
    ["2002:0a00:0001::1", false],
    ["fd00:ec2::254", true],
    ["fd00:ec2::253", false],
    ["100.100.100.200", true],
    ["0.0.0.0", true],
    ["::", true],
    ["224.0.0.1", true],
    ["127.0.0.1", false],
    ["10.0.0.1", false],
    ["2001:db8::1", false],
    ["no address", true],
  ] as const) {
    test(`${address} is ${refused ? "refused" : "fetched from"}`, () => assert.equal(isRefusedAddress(address), refused));
  }

  for (const url of [
    "http://169.254.169.254/latest/meta-data",
    "http://0xa9fea9fe/",
    "http://2852039166/",
    "http://0251.0376.0251.0376/",
    "http://[::ffff:169.254.169.254]/",
    "http://[fe80::1]/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://METADATA.google.internal./",
  ]) {
    test(`${url} is refused before anything is sent`, () => assert.rejects(guardedFetch(url, options), /is refused/));
  }

  test("a name is refused by what it resolves to, whatever else it resolves to", async () => {
    const resolve = (): Promise<{ address: string; family: number }[]> =>
      Promise.resolve([
        { address: "127.0.0.1", family: 4 },
        { address: "169.254.169.254", family: 4 },
      ]);
    await assert.rejects(
      guardedFetch("http://keys.test/", { ...options, resolve }),
      /keys\.test is refused: it resolves to 169\.254\.169\.254/,
    );
  });

  for (const url of ["file:///etc/passwd", "ftp://keys.test/", "gopher://keys.test/", "no url"])
    test(`${url} is no address to fetch from`, () => assert.rejects(guardedFetch(url, options), /is refused|is no URL/));

  test("redirects are followed, but not to what is refused", async (t) => {
    const base = await serve(t, ({ url }, response) => {
      if (url === "/keys") return void response.end("{}");
      response.writeHead(302, { location: url === "/good" ? "/keys" : url === "/loop" ? "/loop" : "http://169.254.169.254/" }).end();
    });
    assert.equal((await guardedFetch(`${base}/good`, options)).toString(), "{}");
    await assert.rejects(guardedFetch(`${base}/evil`, options), /169\.254\.169\.254 is refused/);
    await assert.rejects(guardedFetch(`${base}/loop`, options), /more than 10 redirects/);
  });

  test("what is too large, too late or no success is no answer", async (t) => {
    const base = await serve(t, ({ url }, response) => {
      if (url === "/large") response.end("x".repeat(101));
      else if (url === "/missing") response.writeHead(404).end();
    });
    await assert.rejects(guardedFetch(`${base}/large`, options), /larger than 100 bytes/);
    await assert.rejects(guardedFetch(`${base}/missing`, options), /status 404/);
    await assert.rejects(guardedFetch(`${base}/silent`, { ...options, timeoutMs: 50 }), /no answer within 50 ms/);
  });
});
