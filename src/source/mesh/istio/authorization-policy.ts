// security.istio.io AuthorizationPolicy: who may do what at a workload.
import type { Fields } from "../object/fields.ts";
import type { ObjectMeta } from "../object/mesh-object.ts";
import {
  checkAttribute,
  checkIpBlocks,
  checkPathTemplates,
  checkPorts,
  checkServiceAccounts,
  checkValues,
} from "./authorization-values.ts";
import { type PolicyTarget, readPolicyTarget } from "./policy-target.ts";

/** AuthorizationPolicy.action values. */
export type AuthorizationAction = "ALLOW" | "DENY" | "AUDIT" | "CUSTOM";

/** What must be one of `values` (when there are any) and none of `notValues`. */
export interface Condition {
  readonly values: readonly string[];
  readonly notValues: readonly string[];
}

/** `rules[].from[].source`; every condition has to hold. */
export interface Source {
  readonly principals: Condition;
  readonly requestPrincipals: Condition;
  readonly namespaces: Condition;
  readonly serviceAccounts: Condition;
  readonly ipBlocks: Condition;
  readonly remoteIpBlocks: Condition;
}

/** `rules[].to[].operation`; every condition has to hold. */
export interface Operation {
  readonly hosts: Condition;
  readonly ports: Condition;
  readonly methods: Condition;
  readonly paths: Condition;
}

/** One rule: any of the sources, any of the operations, all of the conditions. Empty lists hold always. */
export interface AuthorizationRule {
  readonly from: readonly Source[];
  readonly to: readonly Operation[];
  readonly when: readonly ({ readonly key: string } & Condition)[];
}

/** AuthorizationPolicy.spec. */
export interface AuthorizationPolicySpec {
  readonly target: PolicyTarget;
  readonly action: AuthorizationAction;
  /** `provider.name` of CUSTOM; empty otherwise. */
  readonly provider: string;
  /** Evaluated and counted, nothing more. */
  readonly dryRun: boolean;
  /** None at all matches nothing. */
  readonly rules: readonly AuthorizationRule[];
}

const dryRunAnnotation = "istio.io/dry-run";
const actions = ["ALLOW", "DENY", "AUDIT", "CUSTOM"] as const;

/** Reads an AuthorizationPolicy; without a spec it allows nothing to everybody of its namespace, as in Istio. */
export function readAuthorizationPolicy(root: Fields, meta: ObjectMeta): AuthorizationPolicySpec {
  const spec = root.child("spec");
  if (spec === undefined) return { target: { selector: {}, refs: [] }, action: "ALLOW", provider: "", dryRun: false, rules: [] };
  const action = spec.oneOf("action", actions) ?? "ALLOW";
  const provider = spec.child("provider");
  const dryRun = isDryRun(meta.annotations);
  if (dryRun === undefined)
    spec.error("", `has annotation ${dryRunAnnotation}: "${meta.annotations[dryRunAnnotation]}", expected true or false`);
  if (dryRun !== false && (action === "AUDIT" || action === "CUSTOM"))
    spec.error("action", `is ${action} with annotation ${dryRunAnnotation}, expected ALLOW or DENY`);
  const policy = {
    target: readPolicyTarget(spec),
    action,
    provider: provider?.requiredString("name") ?? "",
    dryRun: dryRun ?? false,
    rules: spec.list("rules", (rule) => readRule(rule, action)),
  };
  provider?.finish();
  if (action === "CUSTOM" && provider === undefined) spec.error("provider", "is missing, expected the name of an extension provider");
  if (action !== "CUSTOM" && provider !== undefined)
    spec.error("provider", `is given with action ${action}, expected it with CUSTOM alone`);
  if ((action === "CUSTOM" || action === "DENY") && !spec.has("rules"))
    spec.error("rules", `is missing, which makes ${action} meaningless: expected rules, such as {} for every request`);
  spec.finish();
  return policy;
}

/** The annotation's value, as Go reads a boolean; undefined when it is none. */
function isDryRun(annotations: Readonly<Record<string, string>>): boolean | undefined {
  const value = annotations[dryRunAnnotation];
  if (value === undefined || ["0", "f", "F", "false", "FALSE", "False"].includes(value)) return false;
  return ["1", "t", "T", "true", "TRUE", "True"].includes(value) ? true : undefined;
}

function readRule(rule: Fields, action: AuthorizationAction): AuthorizationRule {
  const read = {
    from: rule.list("from", (from) => readInner(from, "source", (source) => readSource(source, action))),
    to: rule.list("to", (to) => readInner(to, "operation", readOperation)),
    when: rule.list("when", (condition) => readWhen(condition, action)),
  };
  for (const key of ["from", "to"] as const)
    if (rule.has(key) && read[key].length === 0) rule.error(key, "is empty, expected at least one entry");
  rule.finish();
  return read;
}

function readInner<T>(item: Fields, key: string, read: (inner: Fields | undefined) => T): T {
  const inner = item.child(key);
  if (!item.has(key)) item.error(key, "is missing, expected a mapping");
  const value = read(inner);
  item.finish();
  return value;
}

const nothing: Condition = { values: [], notValues: [] };

function readCondition(fields: Fields | undefined, key: string, check: (fields: Fields, key: string) => void = checkValues): Condition {
  if (fields === undefined) return nothing;
  const notKey = `not${key.charAt(0).toUpperCase()}${key.slice(1)}`;
  check(fields, key);
  check(fields, notKey);
  return { values: fields.strings(key), notValues: fields.strings(notKey) };
}

/** What CUSTOM cannot ask about: its rules run before anybody was authenticated by a token. */
const notWithCustom = ["principals", "requestPrincipals", "namespaces", "serviceAccounts"] as const;

function readSource(source: Fields | undefined, action: AuthorizationAction): Source {
  const read = {
    principals: readCondition(source, "principals"),
    requestPrincipals: readCondition(source, "requestPrincipals"),
    namespaces: readCondition(source, "namespaces"),
    serviceAccounts: readCondition(source, "serviceAccounts", checkServiceAccounts),
    ipBlocks: readCondition(source, "ipBlocks", checkIpBlocks),
    remoteIpBlocks: readCondition(source, "remoteIpBlocks", checkIpBlocks),
  };
  if (source === undefined) return read;
  if (Object.values(read).every(isEmpty)) source.error("", "is empty, expected at least one condition");
  if (!isEmpty(read.serviceAccounts) && !(isEmpty(read.principals) && isEmpty(read.namespaces)))
    source.error("serviceAccounts", "is given beside namespaces or principals, expected it without them");
  if (action === "CUSTOM")
    for (const key of notWithCustom) if (!isEmpty(read[key])) source.error(key, "is not supported with action CUSTOM, as in Istio");
  source.finish();
  return read;
}

function readOperation(operation: Fields | undefined): Operation {
  const read = {
    hosts: readCondition(operation, "hosts"),
    ports: readCondition(operation, "ports", checkPorts),
    methods: readCondition(operation, "methods"),
    paths: readCondition(operation, "paths", checkPathTemplates),
  };
  if (operation === undefined) return read;
  if (Object.values(read).every(isEmpty)) operation.error("", "is empty, expected at least one condition");
  operation.finish();
  return read;
}

function readWhen(condition: Fields, action: AuthorizationAction): { readonly key: string } & Condition {
  const key = condition.requiredString("key");
  checkAttribute(condition, key);
  const read = { key, values: condition.strings("values"), notValues: condition.strings("notValues") };
  if (isEmpty(read)) condition.error("values", "is missing, expected values or notValues");
  const identity = ["source.namespace", "source.serviceAccount", "source.principal"].includes(key) || key.startsWith("request.auth.");
  if (action === "CUSTOM" && identity) condition.error("key", `is ${key}, which is not supported with action CUSTOM, as in Istio`);
  condition.finish();
  return read;
}

/** True when a condition asks for nothing. */
export function isEmpty({ values, notValues }: Condition): boolean {
  return values.length === 0 && notValues.length === 0;
}
