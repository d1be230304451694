// Key sets that are not there: tokens of their issuers are refused, which whoever wrote the policy should hear.
import type { LocatedIssue } from "../../yaml-document.ts";
import { jwksKey } from "../authn/jwks-source.ts";
import type { MeshView } from "../mesh-view.ts";

/** Said where nobody fetches: a directory is translated as it is. */
export const notFetchedHere = (): string => "it is fetched by a running proxy";

/** A warning for each rule whose key set has not come; `why` says why, by the key of the set. */
export function checkJwks(mesh: MeshView, why: (key: string) => string): readonly LocatedIssue[] {
  return mesh.requestAuthentications.flatMap(({ meta, spec }) =>
    spec.rules.flatMap((rule, index): readonly LocatedIssue[] => {
      const key = jwksKey(rule);
      if (rule.jwks !== "" || mesh.jwks.has(key)) return [];
      const from = rule.jwksUri === "" ? `by OpenID discovery at ${rule.issuer}` : `at ${rule.jwksUri}`;
      const message = `has no keys ${from}, so every token is refused: ${why(key)}`;
      return [{ severity: "warning", ...meta.source, path: ["spec", "jwtRules", index], message }];
    }),
  );
}
