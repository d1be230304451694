// What the values of AuthorizationPolicy conditions may be. Istio's webhook refuses the same, so that nobody believes in a
// condition that could never hold.
import { isIP } from "node:net";
import type { Fields } from "../object/fields.ts";

/** No value may be empty. */
export function checkValues(fields: Fields, key: string): void {
  if (fields.strings(key).includes("")) fields.error(key, "has an empty value, expected none");
}

/** Values are IP addresses or ranges. */
export function checkIpBlocks(fields: Fields, key: string): void {
  for (const value of fields.strings(key))
    if (!isIpBlock(value)) fields.error(key, `has "${value}", expected an IP address or a CIDR range`);
}

function isIpBlock(value: string): boolean {
  const [address = "", length, ...rest] = value.split("/");
  const family = isIP(address);
  if (family === 0 || address.includes("%") || rest.length > 0) return false;
  return length === undefined || (/^(0|[1-9]\d{0,2})$/.test(length) && Number(length) <= (family === 4 ? 32 : 128));
}

const highestPort = 65_535;

/** Values are port numbers, as strings. */
export function checkPorts(fields: Fields, key: string): void {
  for (const value of fields.strings(key))
    if (!/^\d{1,10}$/.test(value) || Number(value) > highestPort)
      fields.error(key, `has "${value}", expected a port from 0 to ${highestPort}`);
}

// Istio's limits on identities in one condition.
const maxServiceAccounts = 16;
const maxServiceAccountLength = 320;

/** Values are ACCOUNT or NAMESPACE/ACCOUNT. */
export function checkServiceAccounts(fields: Fields, key: string): void {
  const values = fields.strings(key);
  if (values.length > maxServiceAccounts) fields.error(key, `has ${values.length} values, expected at most ${maxServiceAccounts}`);
  for (const value of values)
    if (!/^[^/*]+(\/[^/*]+)?$/.test(value) || value.length > maxServiceAccountLength)
      fields.error(key, `has "${value}", expected SERVICE_ACCOUNT or NAMESPACE/SERVICE_ACCOUNT without *`);
}

// Envoy's URI templates take RFC 3986 pchars as literals.
const pathLiteral = /^[a-zA-Z0-9\-._~%!$&'()+,;:@=]+$/;

/** Values are paths; `{*}` and `{**}` stand for whole segments, the second one last of its kind. */
export function checkPathTemplates(fields: Fields, key: string): void {
  checkValues(fields, key);
  for (const value of fields.strings(key)) {
    const problem = templateProblem(value);
    if (problem !== undefined) fields.error(key, `has "${value}", ${problem}`);
  }
}

/** True when the path has `{*}` or `{**}`. */
export function isPathTemplate(path: string): boolean {
  return path.includes("{*}") || path.includes("{**}");
}

function templateProblem(path: string): string | undefined {
  const template = isPathTemplate(path);
  let any = false;
  for (const segment of path.replace(/^\/+|\/+$/g, "").split("/")) {
    if (segment === "{*}" || segment === "{**}") {
      if (any) return "expected {**} as its last operator";
      any = segment === "{**}";
    } else if (/[{}]/.test(segment)) return "expected { and } only as {*} or {**} for a whole segment";
    else if (template && !pathLiteral.test(segment)) return `whose segment "${segment}" is no literal a template can have`;
  }
  return undefined;
}

type Check = (fields: Fields, key: string) => void;

const attributes: Readonly<Record<string, Check>> = {
  "source.ip": checkIpBlocks,
  "remote.ip": checkIpBlocks,
  "source.namespace": checkValues,
  "source.serviceAccount": checkServiceAccounts,
  "source.principal": checkValues,
  "request.auth.principal": checkValues,
  "request.auth.audiences": checkValues,
  "request.auth.presenter": checkValues,
  "destination.ip": checkIpBlocks,
  "destination.port": checkPorts,
  "connection.sni": checkValues,
};

const mapAttributes = ["request.headers", "request.auth.claims", "experimental.envoy.filters."];

/** Checks `key` of a `when` condition and the values it comes with. */
export function checkAttribute(condition: Fields, key: string): void {
  const check = Object.hasOwn(attributes, key) ? attributes[key] : undefined;
  const isMap = mapAttributes.some((prefix) => key.startsWith(prefix));
  if (check === undefined && !isMap) {
    if (key !== "")
      condition.error("key", `is "${key}", expected one of ${[...Object.keys(attributes), ...mapAttributes.map(named)].join(", ")}`);
    return;
  }
  const open = key.indexOf("[");
  if (isMap && !(key.endsWith("]") && open > 0 && open < key.length - 2))
    condition.error("key", `is "${key}", expected a name in brackets, such as request.headers[User-Agent]`);
  for (const list of ["values", "notValues"]) (check ?? checkValues)(condition, list);
}

const named = (prefix: string): string => (prefix.endsWith(".") ? `${prefix}NAME[KEY]` : `${prefix}[NAME]`);
