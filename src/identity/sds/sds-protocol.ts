// Envoy's secret discovery service as gRPC sees it: the published .proto files, loaded when the first client is made. Messages are
// proto JSON with the proto's field names, resources unpacked, so that the decoders of envoy/ read them as they read files.
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { ServiceDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

/** The `@type` of an SDS resource. */
export const secretTypeUrl = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

/** What a client says: a subscription, an ACK or a NACK. */
export interface DiscoveryRequest {
  /** The version accepted last; empty before the first. */
  readonly version_info: string;
  readonly node?: { readonly id: string; readonly cluster: string };
  readonly resource_names: readonly string[];
  readonly type_url: string;
  readonly response_nonce: string;
  /** Present in a NACK: google.rpc.Status. */
  readonly error_detail?: { readonly code: number; readonly message: string };
}

/** What a server says. */
export interface DiscoveryResponse {
  readonly version_info?: string;
  readonly resources?: readonly Readonly<Record<string, unknown>>[];
  readonly type_url?: string;
  readonly nonce?: string;
}

let loaded: ServiceDefinition | undefined;

/** The definition of envoy.service.secret.v3.SecretDiscoveryService, for clients and for servers. Takes a tenth of a second once. */
export function secretDiscoveryService(): ServiceDefinition {
  loaded ??= load();
  return loaded;
}

function load(): ServiceDefinition {
  const home = join(dirname(createRequire(import.meta.url).resolve("@grpc/grpc-js-xds")), "..", "..", "deps");
  const files = ["envoy/service/secret/v3/sds.proto", "envoy/extensions/transport_sockets/tls/v3/secret.proto"];
  const definitions = loadSync(files, {
    keepCase: true,
    longs: String,
    enums: String,
    bytes: String,
    json: true,
    includeDirs: ["envoy-api", "xds", "googleapis", "protoc-gen-validate"].map((name) => join(home, name)),
  });
  return definitions["envoy.service.secret.v3.SecretDiscoveryService"] as ServiceDefinition;
}
