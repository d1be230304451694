// Principals under every name the mesh's trust domain goes by, so that policies hold while a mesh moves from one to another.

// Stands for the mesh's own trust domain, whatever that is called.
const ownTrustDomain = "cluster.local";

/** The principals, each of the mesh's own trust domain repeated with its other names. */
export function withAliases(principals: readonly string[], trustDomains: readonly string[]): readonly string[] {
  return principals.flatMap((principal) => {
    const [domain = "", ...rest] = principal.split("/");
    // TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT; anything else names no trust domain, and `*` takes them all.
    if (rest.length !== 4 || domain === "*") return [principal];
    if (domain !== ownTrustDomain && !trustDomains.some((known) => known === "*" || covers(domain, known) || covers(known, domain)))
      return [principal];
    const renamed = trustDomains.map((known) => (endsLike(domain, known) ? principal : [known, ...rest].join("/")));
    return [...new Set(renamed)];
  });
}

const covers = (pattern: string, domain: string): boolean =>
  pattern === domain || endsLike(pattern, domain) || (pattern.endsWith("*") && domain.startsWith(pattern.slice(0, -1)));

const endsLike = (pattern: string, domain: string): boolean => pattern.startsWith("*") && domain.endsWith(pattern.slice(1));
