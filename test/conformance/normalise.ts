// Brings an Envoy resource to the compact shape of the recorded ones: without what a data plane may ignore, secrets by name.
type Json = null | boolean | number | string | readonly Json[] | JsonObject;
interface JsonObject {
  readonly [key: string]: Json;
}

/** Filters that only report; a data plane serves the same without them. */
const reportingFilters = new Set([
  "istio.stats",
  "istio.metadata_exchange",
  "envoy.filters.http.grpc_stats",
  "istio-tcp-metadata_exchange",
  "istio.peer_metadata",
  "waypoint_downstream_peer_metadata",
]);

/** Fields that only report, or that no peer looks at. */
const reportingFields = new Set(["access_log", "alt_stat_name", "tracing", "cleanup_interval", "request_id_extension"]);

/** Istio writes the largest number for "no limit". */
const noLimit = 4_294_967_295;
const limits = ["max_connections", "max_pending_requests", "max_requests", "max_retries"];

/** The compact copy, with keys in alphabetical order so that two of them compare as text. */
export function normalise(value: unknown): unknown {
  return compact(value as Json);
}

function compact(value: Json): Json {
  if (isList(value)) return value.filter((item) => !isReportingFilter(item)).map(compact);
  if (!isObject(value)) return value;
  const out: Record<string, Json> = {};
  for (const key of Object.keys(value).sort()) {
    const kept = compactField(key, value[key] ?? null);
    if (kept !== undefined) out[key] = kept;
  }
  return out;
}

function isReportingFilter(value: Json): boolean {
  if (!isObject(value)) return false;
  const { name } = value;
  return typeof name === "string" && reportingFilters.has(name);
}

function compactField(key: string, value: Json): Json | undefined {
  if (reportingFields.has(key)) return undefined;
  if (key === "tls_certificate_sds_secret_configs" && isList(value)) return value.map(secretReference);
  if (key === "validation_context_sds_secret_config") return secretReference(value);
  if (key === "circuit_breakers" && isObject(value) && !limitsAnything(value)) return undefined;
  if ((key === "eds_config" || key === "config_source") && isObject(value) && "ads" in value) return { ads: {} };
  const source: Json = key === "filter_metadata" && isObject(value) ? without(value, "istio") : value;
  if (key === "filter_metadata" && isEmpty(source)) return undefined;
  const result = compact(source);
  return ["metadata", "filters", "common_lb_config"].includes(key) && isEmpty(result) ? undefined : result;
}

function secretReference(value: Json): Json {
  return isObject(value) && "sds_config" in value ? { sds: value["name"] ?? null } : compact(value);
}

function limitsAnything(breakers: JsonObject): boolean {
  const thresholds = breakers["thresholds"] ?? [];
  return (isList(thresholds) ? thresholds : []).some(
    (threshold) => isObject(threshold) && limits.some((limit) => (threshold[limit] ?? noLimit) !== noLimit),
  );
}

function without(value: JsonObject, key: string): Json {
  return Object.fromEntries(Object.entries(value).filter(([name]) => name !== key));
}

function isEmpty(value: Json): boolean {
  return isList(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0;
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

function isObject(value: Json): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
