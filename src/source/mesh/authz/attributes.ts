// What one condition of a rule means to Envoy: a permission (what is done) or a principal (who does it), by attribute.
import type { Json } from "../envoy-json.ts";
import { isPathTemplate } from "../istio/authorization-values.ts";
import {
  anyText,
  anyValue,
  cidrRange,
  claimListMatcher,
  claimMatcher,
  headerMatcher,
  metadataMatcher,
  oneOfList,
  regexMatcher,
  stringValue,
  textMatcher,
} from "./value-matchers.ts";

/** Istio's attributes of a rule, under the names of `when` conditions; the operation's own have none there. */
export interface Attribute {
  readonly part: "permission" | "principal";
  /** Nothing that a plain connection has: rules over it are left out of, or wider on, TCP chains. */
  readonly httpOnly: boolean;
  /** Each value apart, any of them to hold. */
  readonly each?: (value: string) => Json;
  /** All values in one matcher. */
  readonly together?: (values: readonly string[]) => Json;
}

/** The attribute a policy's rule belongs to, where values may leave something out. */
export interface RuleContext {
  /** The policy's namespace, in which service accounts without one are. */
  readonly namespace: string;
}

/** `to.operation.hosts`. */
export const hostAttribute: Attribute = permission((value) => ({ header: headerMatcher(":authority", value, true) }), true);
/** `to.operation.methods`. */
export const methodAttribute: Attribute = permission((value) => ({ header: headerMatcher(":method", value) }), true);
/** `to.operation.paths`. */
export const pathAttribute: Attribute = permission(
  (value) => (isPathTemplate(value) ? uriTemplate(value) : { url_path: { path: textMatcher(value) } }),
  true,
);

const attributes: Readonly<Record<string, (context: RuleContext) => Attribute>> = {
  "destination.ip": () => permission((value) => ({ destination_ip: cidrRange(value) })),
  "destination.port": () => permission((value) => ({ destination_port: Number(value) })),
  "connection.sni": () => permission((value) => ({ requested_server_name: textMatcher(value) })),
  "source.ip": () => principal((value) => ({ direct_remote_ip: cidrRange(value) })),
  "remote.ip": () => principal((value) => ({ remote_ip: cidrRange(value) })),
  "source.namespace": () => principal((value) => authenticated(regexMatcher(`.*/ns/${value.replaceAll("*", ".*")}/.*`))),
  "source.serviceAccount": ({ namespace }) => principal((value) => authenticated(regexMatcher(serviceAccountPattern(namespace, value)))),
  "source.principal": () => principal((value) => authenticated(textMatcher(value, "spiffe://"))),
  "request.auth.principal": () => ofToken((values) => anyPrincipal(values.map(requestPrincipal))),
  "request.auth.audiences": () => ofToken((values) => ({ metadata: claimListMatcher(["aud"], values) })),
  "request.auth.presenter": () => ofToken((values) => ({ metadata: claimListMatcher(["azp"], values) })),
};

/** The attribute of a `when` key, or undefined when there is none of this name. */
export function attributeOf(key: string, context: RuleContext): Attribute | undefined {
  if (Object.hasOwn(attributes, key)) return attributes[key]!(context);
  const inner = key.slice(key.indexOf("[") + 1, -1);
  if (key.startsWith("request.headers[")) return principal((value) => ({ header: headerMatcher(inner, value) }), true);
  if (key.startsWith("request.auth.claims[")) {
    const claims = claimPath(key.slice("request.auth.claims".length));
    return ofToken((values) => ({ metadata: claimListMatcher(claims, values) }));
  }
  if (key.startsWith("experimental.envoy.filters.")) {
    const filter = key.slice("experimental.".length, key.indexOf("["));
    return { part: "permission", httpOnly: false, together: (values) => ({ metadata: filterMetadata(filter, inner, values) }) };
  }
  return undefined;
}

function permission(each: (value: string) => Json, httpOnly = false): Attribute {
  return { part: "permission", httpOnly, each };
}

function principal(each: (value: string) => Json, httpOnly = false): Attribute {
  return { part: "principal", httpOnly, each };
}

function ofToken(together: (values: readonly string[]) => Json): Attribute {
  return { part: "principal", httpOnly: true, together };
}

const authenticated = (name: Json): Json => ({ authenticated: { principal_name: name } });

const uriTemplate = (path: string): Json => ({
  uri_template: {
    name: "uri-template",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
      path_template: path.replaceAll("{*}", "*").replaceAll("{**}", "**"),
    },
  },
});

/** Any trust domain; more may stand between the namespace and the account, and after it behind a slash. */
function serviceAccountPattern(ownNamespace: string, value: string): string {
  const [first = "", second] = value.split("/");
  const [namespace, account] = second === undefined ? [ownNamespace, first] : [first, second];
  return `spiffe://.+/ns/${namespace}/(.+/|)sa/${account}(/.+)?`;
}

function anyPrincipal(ids: readonly Json[]): Json {
  const [only] = ids;
  return ids.length === 1 && only !== undefined ? only : { or_ids: { ids } };
}

/** ISSUER/SUBJECT, the issuer being a URL as a rule; a `*` at one end stands for a part of whichever is there. */
function requestPrincipal(value: string): Json {
  const at = value.lastIndexOf("/");
  const [issuer, subject] = at < 0 ? [value, ""] : [value.slice(0, at), value.slice(at + 1)];
  const [iss, sub] = principalMatchers(value, at >= 0, issuer, subject);
  return { and_ids: { ids: [{ metadata: claimMatcher("iss", iss) }, { metadata: claimMatcher("sub", sub) }] } };
}

function principalMatchers(value: string, both: boolean, issuer: string, subject: string): readonly [Json, Json] {
  if (value === "*") return [anyText, anyText];
  if (value.startsWith("*")) {
    if (!both) return [anyText, { suffix: value.slice(1) }];
    return [issuer === "*" ? anyText : { suffix: issuer.slice(1) }, { exact: subject }];
  }
  if (value.endsWith("*")) {
    if (!both) return [{ prefix: value.slice(0, -1) }, anyText];
    return [{ exact: issuer }, subject === "*" ? anyText : { prefix: subject.slice(0, -1) }];
  }
  return [{ exact: issuer }, { exact: subject }];
}

/** `[a][b]` as its names; anything else in brackets is one name, brackets inside it and all. */
function claimPath(text: string): readonly string[] {
  return /^(\[[^[\]]*\])+$/.test(text) ? text.slice(1, -1).split("][") : [text.slice(1, -1)];
}

/** `[v]` asks for a list with v in it, any other value for a string. */
function filterMetadata(filter: string, key: string, values: readonly string[]): Json {
  const matchers = values.map((value) => {
    const listed = value.startsWith("[") && value.endsWith("]");
    return listed ? oneOfList(stringValue(textMatcher(value.replace(/^[[\]]+|[[\]]+$/g, "")))) : stringValue(textMatcher(value));
  });
  return metadataMatcher(filter, [key], anyValue(matchers));
}
