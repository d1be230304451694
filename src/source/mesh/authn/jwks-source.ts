// Which key sets a mesh's RequestAuthentications name without giving them: what somebody has to fetch for the translation.
import type { JwtRule } from "../istio/request-authentication.ts";
import type { MeshView } from "../mesh-view.ts";
import { parseDurationSeconds } from "../object/duration.ts";

/** A key set to fetch. */
export interface JwksSource {
  /** What `MeshView.jwks` knows it by. */
  readonly key: string;
  readonly issuer: string;
  /** Empty: ask the issuer's OpenID configuration. */
  readonly uri: string;
  readonly timeoutMs: number;
}

/** The name of a rule's key set. */
export function jwksKey({ issuer, jwksUri }: Pick<JwtRule, "issuer" | "jwksUri">): string {
  return `${jwksUri} ${issuer}`;
}

/** Every key set that is not written down, each once. */
export function jwksSources(mesh: MeshView): readonly JwksSource[] {
  const sources = new Map<string, JwksSource>();
  for (const { spec } of mesh.requestAuthentications)
    for (const rule of spec.rules) {
      if (rule.jwks !== "") continue;
      const timeoutMs = (parseDurationSeconds(rule.timeout) ?? 0) * 1000;
      sources.set(jwksKey(rule), { key: jwksKey(rule), issuer: rule.issuer, uri: rule.jwksUri, timeoutMs });
    }
  return [...sources.values()];
}
