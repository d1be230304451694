// SAN matchers against raw names: kinds, types, wildcards, and names made to deceive.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { SanMatcher } from "../../../src/envoy/tls/tls.ts";
import { compileSanMatchers, dnsNameMatches } from "../../../src/identity/san-matcher.ts";
import type { CertificateNames, San } from "../../../src/identity/x509/certificate-names.ts";

const names = (...sans: readonly (readonly [San["type"], string])[]): CertificateNames => ({
  sans: sans.map(([type, value]) => ({ type, value })),
  uriSans: sans.filter(([type]) => type === "URI").map(([, value]) => value),
  dnsSans: sans.filter(([type]) => type === "DNS").map(([, value]) => value),
  subject: "",
  issuer: "",
});
const text = (
  sanType: SanMatcher["sanType"],
  kind: "exact" | "prefix" | "suffix" | "contains",
  value: string,
  ignoreCase = false,
): SanMatcher => ({
  sanType,
  matcher: { kind, value, ignoreCase },
});
const regex = (sanType: SanMatcher["sanType"], pattern: string): SanMatcher => ({
  sanType,
  matcher: { kind: "safeRegex", regex: pattern },
});

const spiffe = "spiffe://cluster.local/ns/default/sa/a";
const cases: readonly [title: string, matchers: readonly SanMatcher[], certificate: CertificateNames, matches: boolean][] = [
  ["no matcher accepts all", [], names(), true],
  ["a matcher needs a SAN", [text("any", "exact", "")], names(), false],
  ["exact URI", [text("URI", "exact", spiffe)], names(["URI", spiffe]), true],
  ["another type of the same text", [text("URI", "exact", "a.example")], names(["DNS", "a.example"]), false],
  ["the untyped matcher takes any type", [text("any", "exact", "1.2.3.4")], names(["IP_ADDRESS", "1.2.3.4"]), true],
  ["e-mail", [text("EMAIL", "suffix", "@example.com")], names(["EMAIL", "a@example.com"]), true],
  ["prefix", [text("URI", "prefix", "spiffe://cluster.local/")], names(["URI", spiffe]), true],
  ["contains, case folded", [text("URI", "contains", "/NS/Default/", true)], names(["URI", spiffe]), true],
  ["case matters unless told", [text("URI", "exact", spiffe.toUpperCase())], names(["URI", spiffe]), false],
  ["a regex matches the whole value", [regex("URI", "spiffe://cluster.local/ns/[^/]+/sa/a")], names(["URI", spiffe]), true],
  ["a regex does not match a part", [regex("URI", "cluster.local")], names(["URI", spiffe]), false],
  ["a regex that does not compile matches nothing", [regex("URI", "(")], names(["URI", "("]), false],
  ["one of several matchers is enough", [text("DNS", "exact", "b.c"), text("URI", "exact", spiffe)], names(["URI", spiffe]), true],
  ["two URI SANs are no SPIFFE identity", [text("URI", "exact", spiffe)], names(["URI", spiffe], ["URI", "spiffe://x/y"]), false],
  [
    "two URI SANs leave the DNS name usable",
    [text("any", "exact", "a.b")],
    names(["URI", spiffe], ["URI", "spiffe://x/y"], ["DNS", "a.b"]),
    true,
  ],
  ["a NUL does not end a name", [text("DNS", "exact", "good.example")], names(["DNS", "good.example\0.evil"]), false],
  ["a wildcard certificate covers an exact name", [text("DNS", "exact", "a.example.com")], names(["DNS", "*.example.com"]), true],
  ["a wildcard is plain text to other kinds", [text("DNS", "suffix", "a.example.com")], names(["DNS", "*.example.com"]), false],
  [
    "bytes above ASCII are compared as they are",
    [text("URI", "exact", "urn:é")],
    names(["URI", Buffer.from("urn:é").toString("latin1")]),
    true,
  ],
];

suite("SAN matchers", () => {
  for (const [title, matchers, certificate, matches] of cases) {
    test(title, () => {
      const invalid: string[] = [];
      assert.equal(compileSanMatchers(matchers, (message) => invalid.push(message))(certificate), matches);
      assert.equal(invalid.length, title.includes("not compile") ? 1 : 0);
    });
  }

  const wildcards: readonly [host: string, pattern: string, matches: boolean][] = [
    ["a.example.com", "A.EXAMPLE.com", true],
    ["a.example.com", "*.example.com", true],
    ["a.b.example.com", "*.example.com", false],
    ["example.com", "*.example.com", false],
    ["abc.example.com", "a*c.example.com", true],
    ["ac.example.com", "a*c.example.com", true],
    ["a.example.com", "ab*a.example.com", false],
    ["a.example.com", "**.example.com", false],
    ["a.example.com", "a.*.com", false],
    ["xn--bcher-kva.example.com", "xn--*.example.com", false],
    ["localhost", "*", false],
  ];
  for (const [host, pattern, matches] of wildcards) {
    test(`${pattern} ${matches ? "covers" : "does not cover"} ${host}`, () => assert.equal(dnsNameMatches(host, pattern), matches));
  }
});
