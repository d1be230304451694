// The mesh-wide access log: Istio's format unless MeshConfig gives another.
import { extension, type Json } from "../envoy-json.ts";
import type { MeshConfig } from "../mesh-config.ts";

const istioText =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ' +
  '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% ' +
  '%DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" ' +
  '"%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% ' +
  "%DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

/** Istio's fields where the mesh configuration says JSON. */
export const istioJson: Json = {
  start_time: "%START_TIME%",
  route_name: "%ROUTE_NAME%",
  method: "%REQ(:METHOD)%",
  path: "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
  protocol: "%PROTOCOL%",
  response_code: "%RESPONSE_CODE%",
  response_flags: "%RESPONSE_FLAGS%",
  response_code_details: "%RESPONSE_CODE_DETAILS%",
  connection_termination_details: "%CONNECTION_TERMINATION_DETAILS%",
  bytes_received: "%BYTES_RECEIVED%",
  bytes_sent: "%BYTES_SENT%",
  duration: "%DURATION%",
  upstream_service_time: "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
  x_forwarded_for: "%REQ(X-FORWARDED-FOR)%",
  user_agent: "%REQ(USER-AGENT)%",
  request_id: "%REQ(X-REQUEST-ID)%",
  authority: "%REQ(:AUTHORITY)%",
  upstream_host: "%UPSTREAM_HOST%",
  upstream_cluster: "%UPSTREAM_CLUSTER_RAW%",
  upstream_local_address: "%UPSTREAM_LOCAL_ADDRESS%",
  downstream_local_address: "%DOWNSTREAM_LOCAL_ADDRESS%",
  downstream_remote_address: "%DOWNSTREAM_REMOTE_ADDRESS%",
  requested_server_name: "%REQUESTED_SERVER_NAME%",
  upstream_transport_failure_reason: "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
};

/** The `access_log` field of a filter, or no field when nothing is logged. */
export function accessLog(config: MeshConfig): { readonly access_log?: readonly Json[] } {
  return config.accessLogFile === "" ? {} : { access_log: [fileLogger(config)] };
}

/** The `access_log` field of a listener: connections that no filter chain took. */
export function listenerAccessLog(config: MeshConfig): { readonly access_log?: readonly Json[] } {
  if (config.accessLogFile === "") return {};
  return { access_log: [{ ...fileLogger(config), filter: { response_flag_filter: { flags: ["NR"] } } }] };
}

function fileLogger(config: MeshConfig): Json {
  return extension("envoy.access_loggers.file", "envoy.extensions.access_loggers.file.v3.FileAccessLog", {
    path: config.accessLogFile,
    log_format:
      config.accessLogEncoding === "JSON"
        ? { json_format: jsonFormat(config) }
        : { text_format_source: { inline_string: textFormat(config) } },
  });
}

function textFormat(config: MeshConfig): string {
  if (config.accessLogFormat === "") return istioText;
  return config.accessLogFormat.endsWith("\n") ? config.accessLogFormat : `${config.accessLogFormat}\n`;
}

function jsonFormat(config: MeshConfig): unknown {
  return config.accessLogFormat === "" ? istioJson : JSON.parse(config.accessLogFormat);
}
