// HTTP told from other protocols by its first bytes.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { sniffHttp } from "../../../src/wire/http-sniff.ts";

suite("HTTP sniffing", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "http/1.1"],
    ["POST /a?b=c HTTP/1.0\r\n", "http/1.0"],
    ["GET /a b HTTP/1.1\r\n", "http/1.1"],
    ["GET / HTTP/1.1\n", "http/1.1"],
    ["\r\nGET / HTTP/1.1\r\n", "http/1.1"],
    ["CONNECT a:1 HTTP/1.1\r\n", "http/1.1"],
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "h2c"],
    ["GET / HTTP/2.0\r\n", "none"],
    ["GET /\r\n", "none"],
    ["GET  HTTP/1.1\r\n", "none"],
    ["PRI * HTTP/2.0\r\n\r\nXX", "none"],
    ["SET key value\r\n", "none"],
    ["SSH-2.0-OpenSSH_9\r\n", "none"],
    ["\u0016\u0003\u0001", "none"],
    ["get / HTTP/1.1\r\n", "none"],
    ["", "needMore"],
    ["\r\n", "needMore"],
    ["G", "needMore"],
    ["P", "needMore"],
    ["PRI * HTTP/2.0\r\n", "needMore"],
    ["GET /no/end/yet HTTP/1.", "needMore"],
  ];
  for (const [text, expected] of cases) {
    test(`${JSON.stringify(text)} is ${expected}`, () => assert.equal(sniffHttp(Buffer.from(text, "latin1")), expected));
  }

  test("changes its mind about a stream never more than from needMore to the answer", () => {
    for (const [text, expected] of cases) {
      const bytes = Buffer.from(text, "latin1");
      let settled = "needMore";
      for (let length = 0; length <= bytes.length; length++) {
        const found = sniffHttp(bytes.subarray(0, length));
        assert.ok(settled === "needMore" || found === settled, `${JSON.stringify(text)} at ${length}: ${settled} became ${found}`);
        settled = found;
      }
      assert.equal(settled, expected);
    }
  });
});
