// HTTPMatchRequest: what a request, and the proxy it passes, must be like for a route to apply.
import type { Fields } from "../../object/fields.ts";
import { claimPathOf, isClaimName } from "./claim-match.ts";
import { optionalStringMatch, readStringMatch, type StringMatch } from "./string-match.ts";

/** HTTPMatchRequest. */
export interface HttpMatch {
  readonly name: string;
  readonly uri?: StringMatch;
  readonly ignoreUriCase: boolean;
  readonly scheme?: StringMatch;
  readonly method?: StringMatch;
  readonly authority?: StringMatch;
  /** Claims of the request's token are among them, under their names for it. */
  readonly headers: ReadonlyMap<string, StringMatch>;
  readonly withoutHeaders: ReadonlyMap<string, StringMatch>;
  readonly queryParams: ReadonlyMap<string, StringMatch>;
  readonly proxy: ProxyMatch;
}

/** The part of a match that is known before any request: where the proxy is and which port and gateway it serves. */
export interface ProxyMatch {
  /** 0 matches every port. */
  readonly port: number;
  readonly sourceLabels: Readonly<Record<string, string>>;
  readonly sourceNamespace: string;
  readonly gateways: readonly string[];
}

/** Reads an HTTPMatchRequest. */
export function readHttpMatch(item: Fields): HttpMatch {
  const field = <K extends "uri" | "scheme" | "method" | "authority">(key: K): { readonly [P in K]?: StringMatch } => {
    const value = optionalStringMatch(item, key);
    return (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: StringMatch };
  };
  const match = {
    name: item.string("name") ?? "",
    ...field("uri"),
    ignoreUriCase: item.boolean("ignoreUriCase") ?? false,
    ...field("scheme"),
    ...field("method"),
    ...field("authority"),
    headers: readHeaders(item, "headers"),
    withoutHeaders: readHeaders(item, "withoutHeaders"),
    queryParams: item.map("queryParams", readStringMatch),
    proxy: readProxyMatch(item),
  };
  item.notHonoured("statPrefix");
  item.finish();
  return match;
}

/** Reads the fields that every kind of match shares; the caller finishes the mapping. */
export function readProxyMatch(item: Fields): ProxyMatch {
  return {
    port: item.port("port") ?? 0,
    sourceLabels: item.stringMap("sourceLabels"),
    sourceNamespace: item.string("sourceNamespace") ?? "",
    gateways: item.strings("gateways"),
  };
}

function readHeaders(item: Fields, key: string): ReadonlyMap<string, StringMatch> {
  const headers = item.map(key, readStringMatch);
  for (const name of headers.keys()) {
    if (isClaimName(name) && claimPathOf(name) === undefined)
      item.error(
        key,
        `matches "${name}", expected @request.auth.claims.NAME or @request.auth.claims[NAME], with more names for nested claims`,
      );
  }
  return headers;
}
