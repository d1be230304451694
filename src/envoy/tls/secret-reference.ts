// Where a secret that is referred to by name comes from (core.v3.ConfigSource, as SDS uses it). Contexts keep the name alone;
// whoever decodes a bootstrap collects the references and sees to it that the secrets come.
import type { Decoder } from "../decode/cursor.ts";
import { emptyMessage, message } from "../decode/message.ts";
import { list, nonEmpty } from "../decode/scalars.ts";

/** Where a secret comes from. `control-plane`: whoever sent the reference; `static`: the bootstrap's own secrets. */
export type SecretSource =
  | { readonly kind: "static" }
  | { readonly kind: "control-plane" }
  | { readonly kind: "path"; readonly path: string }
  | { readonly kind: "cluster"; readonly cluster: string };

/** One reference. */
export interface SecretReference {
  readonly name: string;
  readonly source: SecretSource;
}

const decodeWatchedDirectory: Decoder<string> = message("envoy.config.core.v3.WatchedDirectory", (m) => m.required("path", nonEmpty));

const decodePath: Decoder<SecretSource> = message("envoy.config.core.v3.PathConfigSource", (m) => {
  const path = m.required("path", nonEmpty);
  // Files are watched with the folders they stand in, which is what this asks for where the file is a link.
  m.maybe("watched", "watched_directory", decodeWatchedDirectory);
  return { kind: "path", path };
});

const decodeEnvoyGrpc: Decoder<string> = message("envoy.config.core.v3.GrpcService.EnvoyGrpc", (m) => {
  m.accept("authority", "retry_policy", "max_receive_message_length", "skip_envoy_headers");
  return m.required("cluster_name", nonEmpty);
});

const decodeGrpcService: Decoder<string> = message("envoy.config.core.v3.GrpcService", (m) => {
  m.refuse("give envoy_grpc", "google_grpc");
  m.refuse("tokens for SDS servers", "initial_metadata");
  m.accept("timeout", "retry_policy");
  return m.required("envoy_grpc", decodeEnvoyGrpc);
});

const decodeApi: Decoder<SecretSource> = message("envoy.config.core.v3.ApiConfigSource", (m) => {
  m.accept("transport_api_version", "set_node_on_first_message_only", "request_timeout", "refresh_delay", "rate_limit_settings");
  m.refuse("give grpc_services", "cluster_names");
  m.refuse("state of the world with api_type GRPC is", "config_validators");
  const type = m.field("api_type", (json) => json, "GRPC");
  if (type !== "GRPC" && type !== 2) m.at.error("not supported: only GRPC is", "api_type");
  const [cluster = "", second] = m.required("grpc_services", list(decodeGrpcService));
  if (second !== undefined) m.at.error("one service is asked, got several", "grpc_services");
  return { kind: "cluster", cluster };
});

const decodeAds = emptyMessage("envoy.config.core.v3.AggregatedConfigSource");
const decodeSelf = message("envoy.config.core.v3.SelfConfigSource", (m) => m.accept("transport_api_version"));

const decodeSource: Decoder<SecretSource> = message("envoy.config.core.v3.ConfigSource", (m) => {
  // Listeners refuse handshakes until a secret comes, however long that takes.
  m.accept("initial_fetch_timeout", "resource_api_version", "authorities");
  return m.requiredOneof<SecretSource>(
    {
      path: (json, at) => ({ kind: "path", path: nonEmpty(json, at) }),
      path_config_source: decodePath,
      api_config_source: decodeApi,
      ads: (json, at) => (decodeAds(json, at), { kind: "control-plane" }),
      self: (json, at) => (decodeSelf(json, at), { kind: "control-plane" }),
    },
    { kind: "static" },
  );
});

/** SdsSecretConfig: the secret's name. Its source goes to the context's collector; without one it is the source's own business. */
export const decodeSecretReference: Decoder<string> = message(
  "envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig",
  (m) => {
    const name = m.required("name", nonEmpty);
    const collect = m.at.context.onSecretReference;
    if (!collect || m.at.muted) {
      m.accept("sds_config");
      return name;
    }
    collect({ name, source: m.field("sds_config", decodeSource, { kind: "static" }) });
    return name;
  },
  { unhandled: "error" },
);
