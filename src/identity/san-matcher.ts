// Subject alternative names against match_typed_subject_alt_names. Bytewise on the raw values; what cannot be compiled
// matches nothing.
import type { SanMatcher } from "../envoy/tls/tls.ts";
import type { StringMatcher } from "../envoy/string-matcher.ts";
import { compileStringMatcher } from "../match/string-matcher.ts";
import type { StringTest } from "../match/string-matcher.ts";
import type { CertificateNames, San } from "./x509/certificate-names.ts";

/** True when any SAN matches any matcher. */
export type SanPredicate = (names: CertificateNames) => boolean;

/** Compiles the matchers; an empty list accepts every certificate. `onInvalid` hears of expressions that do not compile. */
export function compileSanMatchers(matchers: readonly SanMatcher[], onInvalid: (message: string) => void): SanPredicate {
  if (matchers.length === 0) return () => true;
  const compiled = matchers.map((matcher) => compileSanMatcher(matcher, onInvalid));
  return (names) => {
    // SPIFFE X.509-SVID section 2: more than one URI SAN is no SPIFFE identity, so none of them may stand for one.
    const ambiguous = names.uriSans.length > 1;
    return names.sans.some((san) => !(ambiguous && isSpiffe(san)) && compiled.some((match) => match(san)));
  };
}

/** True when a certificate has `name`: a DNS name that covers it, or a URI or address that is it (Envoy's verifySubjectAltName). */
export function hasName({ sans }: CertificateNames, name: string): boolean {
  return sans.some(({ type, value }) => (type === "DNS" ? dnsNameMatches(name, value) : type !== "EMAIL" && value === name));
}

function isSpiffe(san: San): boolean {
  return san.type === "URI" && san.value.toLowerCase().startsWith("spiffe:");
}

function compileSanMatcher(matcher: SanMatcher, onInvalid: (message: string) => void): (san: San) => boolean {
  const text = compileText(matcher.matcher, onInvalid);
  const { matcher: source } = matcher;
  const dnsName = source.kind === "exact" ? source.value : undefined;
  return (san) => {
    if (matcher.sanType !== "any" && matcher.sanType !== san.type) return false;
    // An exact DNS matcher names a host, which a wildcard certificate may cover (Envoy's DnsExactStringSanMatcher).
    if (san.type === "DNS" && dnsName !== undefined) return dnsNameMatches(dnsName, san.value);
    return text(san.value);
  };
}

function compileText(matcher: StringMatcher, onInvalid: (message: string) => void): StringTest {
  try {
    // SAN values are held as one char a byte; the configured text has to be brought into the same form.
    return compileStringMatcher(
      matcher.kind === "safeRegex" ? matcher : { ...matcher, value: Buffer.from(matcher.value).toString("latin1") },
    );
  } catch (thrown) {
    onInvalid(`SAN matcher: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    return () => false;
  }
}

/** True when a certificate's DNS name, wildcards included, covers `host` (RFC 6125, Envoy's dnsNameMatch). */
export function dnsNameMatches(host: string, pattern: string): boolean {
  const name = host.toLowerCase();
  const cover = pattern.toLowerCase();
  if (name === cover) return true;
  const nameDot = name.indexOf(".");
  const coverDot = cover.indexOf(".");
  if (nameDot < 0 || coverDot < 0) return false;
  const label = cover.slice(0, coverDot);
  const parent = cover.slice(coverDot);
  // The wildcard stands in the left-most label only, once, and never inside an A-label.
  if (!label.includes("*") || parent.includes("*") || label.startsWith("xn--") || name.slice(nameDot) !== parent) return false;
  const [before, after, more] = label.split("*");
  if (before === undefined || after === undefined || more !== undefined) return false;
  const first = name.slice(0, nameDot);
  return first.length + 1 >= label.length && first.startsWith(before) && first.endsWith(after);
}
