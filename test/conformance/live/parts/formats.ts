// Listeners whose access logs are made of command operators: as text, as JSON with types, and without what is missing.
import { accessLogPath } from "../../../support/proxy.ts";
import { cluster, direct, listener, manager, prefix, to, v3 } from "../builders.ts";
import type { Origins } from "../origins.ts";
import type { BootstrapPart } from "./part.ts";

const operators = [
  "REQ(X-A)", "REQ(X-A):3", "REQ(X-A):0", "REQ(X-NONE)", "REQ(X-NONE):4", "REQ(X-NONE?X-A)", "REQ(X-A?X-B)", "REQ(:METHOD)", "REQ(:PATH):4",
  "REQ(:AUTHORITY)", "REQ(HOST)", "REQ(:SCHEME)", "REQ(X-TWICE)", "RESP(CONTENT-TYPE)", "RESP(X-NONE?CONTENT-TYPE)", "RESP(:STATUS)", "RESP(X-NONE)",
  "TRAILER(X-T)", "TRAILER(X-NONE)", "PROTOCOL", "RESPONSE_CODE", "RESPONSE_CODE_DETAILS", "RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)",
  "RESPONSE_FLAGS", "RESPONSE_FLAGS_LONG", "BYTES_RECEIVED", "BYTES_SENT", "ROUTE_NAME", "VIRTUAL_CLUSTER_NAME",
  "UPSTREAM_CLUSTER", "UPSTREAM_CLUSTER_RAW", "UPSTREAM_HOST", "UPSTREAM_REMOTE_ADDRESS", "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
  "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", "UPSTREAM_PROTOCOL", "UPSTREAM_REQUEST_ATTEMPT_COUNT", "UPSTREAM_TRANSPORT_FAILURE_REASON", "UPSTREAM_TLS_VERSION",
  "UPSTREAM_PEER_SUBJECT", "UPSTREAM_PEER_CERT_V_START", "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
  "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT", "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
  "DOWNSTREAM_TLS_VERSION", "DOWNSTREAM_TLS_CIPHER", "DOWNSTREAM_TLS_SESSION_ID", "DOWNSTREAM_PEER_URI_SAN", "DOWNSTREAM_PEER_CERT",
  "DOWNSTREAM_PEER_CERT_V_END", "DOWNSTREAM_PEER_FINGERPRINT_256", "DOWNSTREAM_TRANSPORT_FAILURE_REASON", "REQUESTED_SERVER_NAME", "FILTER_CHAIN_NAME",
  "CONNECTION_TERMINATION_DETAILS", "DYNAMIC_METADATA(none:key)", "METADATA(ROUTE:lab)", "METADATA(ROUTE:lab:text)", "METADATA(ROUTE:lab:number)",
  "METADATA(ROUTE:lab:yes)", "METADATA(ROUTE:lab:list)", "METADATA(ROUTE:lab:deep)", "METADATA(ROUTE:lab:deep:er)", "METADATA(ROUTE:lab:none)",
  "METADATA(ROUTE:lab:text):2", "UPSTREAM_METADATA(lab:h)", "METADATA(UPSTREAM_HOST:lab:h)", "FILTER_STATE(none)", "FILTER_STATE(none:PLAIN)", "PATH", "PATH(WQ)", "PATH(NQ)", "PATH(NQ:PATH)",
  "PATH(WQ:ORIG)", "PATH(NQ:ORIG_OR_PATH)", "PATH(NQ):3", "QUERY_PARAM(q)", "QUERY_PARAM(q):2", "QUERY_PARAM(none)", "QUERY_PARAMS", "QUERY_PARAMS(ORIG)", "QUERY_PARAMS(DECODED)", "GRPC_STATUS",
  "GRPC_STATUS(CAMEL_STRING)", "GRPC_STATUS(SNAKE_STRING)", "GRPC_STATUS(NUMBER)", "GRPC_STATUS_NUMBER", "REQUEST_HEADERS_BYTES", "RESPONSE_TRAILERS_BYTES", "TRACE_ID", "SPAN_ID", "ENVIRONMENT(NO_SUCH_NAME)", "ENVIRONMENT(HOME)", "ENVIRONMENT(HOME):2",
  "UPSTREAM_LOCAL_CLOSE_REASON", "DOWNSTREAM_LOCAL_CLOSE_REASON",
] as const; // prettier-ignore

// What isthmus accepts with a warning and never has a value for.
const unavailable = [
  "UPSTREAM_HOST_NAME", "UPSTREAM_HOST_NAME_WITHOUT_PORT", "UPSTREAM_HOSTS_ATTEMPTED", "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT", "UPSTREAM_HOST_NAMES_ATTEMPTED", "METADATA(CLUSTER:lab:c)", "CLUSTER_METADATA(lab:c)", "METADATA(VIRTUAL_HOST:lab:v)", "METADATA(LISTENER:lab:l)", "ACCESS_LOG_TYPE", "LOCAL_REPLY_BODY", "CUSTOM_FLAGS", "DOWNSTREAM_DETECTED_CLOSE_TYPE", "UPSTREAM_DETECTED_CLOSE_TYPE",
] as const; // prettier-ignore

const timed = ["START_TIME(%Y)", "COMMON_DURATION(DS_RX_BEG:DS_RX_BEG:ms)"] as const;

function log(name: string, format: object): object {
  const typed = { "@type": `${v3}.extensions.access_loggers.file.v3.FileAccessLog`, path: accessLogPath, log_format: format };
  return { name, typed_config: typed };
}
const key = (operator: string): string => operator.replace(/%/g, "");
const each = Object.fromEntries([...operators, ...timed].map((operator) => [key(operator), `%${operator}%`]));
const mixed = { two: "%PROTOCOL%/%RESPONSE_CODE%", none: "a%REQ(X-NONE)%b", percent: "100%%", fixed: "text", number: 7, yes: true, nothing: null, list: ["%RESPONSE_CODE%", 1], object: { in: "%REQ(X-NONE)%", code: "%RESPONSE_CODE%" } }; // prettier-ignore

/** Requests at these listeners show every operator. */
export function formatsPart(origins: Origins): BootstrapPart {
  const metadata = {
    filter_metadata: { lab: { text: 'a"b\\c\u00e9', number: 1.5, yes: true, list: [1, "x", null], deep: { er: "d", z: 1, a: 2 } } },
  };
  const routes = [
    { ...prefix("/local", direct("said", 404)), metadata },
    { ...prefix("/refused", to("refused")), metadata },
    { ...prefix("/h2/", to("http2", { prefix_rewrite: "/" })), metadata },
    { ...prefix("/o/", to("formats", { prefix_rewrite: "/" })), metadata },
  ];
  const hosts = [{ name: "vh", domains: ["*"], routes, metadata: { filter_metadata: { lab: { v: "of the host" } } } }];
  const lines = [...operators, ...timed].map((operator) => `${key(operator)}=[%${operator}%]\n`).join("");
  const formats: Readonly<Record<string, object>> = {
    "format-text": { text_format_source: { inline_string: `${lines}100%%\n` } },
    "format-json": { json_format: { ...each, mixed } },
    "format-omit": { json_format: { ...each, mixed }, omit_empty_values: true },
    "format-unavailable": { json_format: Object.fromEntries(unavailable.map((operator) => [operator, `%${operator}%`])) },
    "format-text-omit": { text_format_source: { inline_string: lines }, omit_empty_values: true },
  };
  const host = { endpoint: { hostname: "host.name", address: { socket_address: { address: "127.0.0.1", port_value: origins.http } } }, metadata: { filter_metadata: { lab: { h: "of the endpoint" } } } }; // prettier-ignore
  return {
    listeners: Object.entries(formats).map(([name, format]) =>
      listener(name, manager(name, hosts, { access_log: [log("envoy.access_loggers.file", format)] }), {
        metadata: { filter_metadata: { lab: { l: "of the listener" } } },
      }),
    ),
    clusters: [
      cluster("formats", origins.http, {
        metadata: { filter_metadata: { lab: { c: "of the cluster" } } },
        load_assignment: { cluster_name: "formats", endpoints: [{ lb_endpoints: [host] }] },
      }),
    ],
  };
}
