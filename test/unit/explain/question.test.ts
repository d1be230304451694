// Questions as they stand on a command line.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { authorityOf, parseQuestion, type QuestionText, type RequestQuestion } from "../../../src/explain/question.ts";

const request = (text: QuestionText): RequestQuestion => {
  const question = parseQuestion(text);
  assert.ok(!("problem" in question) && question.kind === "request", JSON.stringify(question));
  return question;
};

suite("parseQuestion", () => {
  for (const [target, expected] of [
    ["http://books:8000/x?y=1", "http books 8000 /x?y=1 books:8000"],
    ["books", "http books 80 / books"],
    ["Books:9080/api", "http books 9080 /api books:9080"],
    ["https://a.example", "tls a.example 443 / a.example"],
    ["http://[2001:db8::1]:81/", "http 2001:db8::1 81 / [2001:db8::1]:81"],
    ["http://books?q", "http books 80 /?q books"],
    ["http://10.0.0.1/", "http 10.0.0.1 80 / 10.0.0.1"],
  ] as const) {
    test(target, () => {
      const question = request({ target });
      const { protocol, host, port, path } = question;
      assert.equal([protocol, host, port, path, authorityOf(question)].join(" "), expected);
    });
  }

  test("headers, method and TCP", () => {
    const question = request({ method: "POST", target: "http://books/", headers: ["X-User:  jason ", "host: other"] });
    assert.deepEqual(question.headers, [
      ["x-user", "jason"],
      ["host", "other"],
    ]);
    assert.equal(question.method, "POST");
    assert.equal(request({ target: "db:5432", tcp: true }).protocol, "tcp");
  });

  for (const [title, text, problem] of [
    ["nothing", {}, /nothing is asked/],
    ["no host", { target: "http:///x" }, /names no host/],
    ["another scheme", { target: "ftp://books/" }, /no scheme that can be explained/],
    ["a bad port", { target: "books:70000" }, /"70000" is no port/],
    ["a bad IPv6 address", { target: "http://[books]/" }, /no IPv6 address/],
    ["a bad header", { target: "books", headers: ["nothing"] }, /is no header/],
    ["a bad method", { method: "GE T", target: "books" }, /no HTTP method/],
    ["TCP without a port", { target: "db", tcp: true }, /needs a port/],
    ["ALPN for a request", { target: "books", alpn: "h2" }, /belong to --sni/],
    ["a URL beside a hello", { target: "books", sni: "a" }, /no URL/],
    ["a hello at no port", { sni: "a", port: "x" }, /"x" is no port/],
  ] as const) {
    test(`${title} is wrong usage`, () => {
      const question = parseQuestion(text);
      assert.ok("problem" in question);
      assert.match(question.problem, problem);
    });
  }
});
