// Conditions on claims of a verified token, which Istio writes among those on headers: `@request.auth.claims.realm.role` or
// `@request.auth.claims[realm][role]`.
const start = "@request.auth.claims";

/** True for a name that is meant as a claim's, well formed or not. */
export function isClaimName(name: string): boolean {
  return name.startsWith(start);
}

/**
 * The way to a claim from the top of the payload, or undefined when the name is not well formed. Behind a dot each dot leads one
 * level down; names with dots of their own are written in brackets.
 */
export function claimPathOf(name: string): readonly string[] | undefined {
  const rest = name.slice(start.length);
  const path = /^(\[[^[\]]*\])+$/.test(rest) ? rest.slice(1, -1).split("][") : rest.startsWith(".") ? rest.slice(1).split(".") : [""];
  return path.includes("") ? undefined : path;
}
