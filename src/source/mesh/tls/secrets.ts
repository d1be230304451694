// References to the workload's certificate and the mesh's roots, as istiod writes them: SDS by name, from the agent.
import type { Json } from "../envoy-json.ts";

const fromAgent: Json = {
  api_config_source: {
    api_type: "GRPC",
    transport_api_version: "V3",
    grpc_services: [{ envoy_grpc: { cluster_name: "sds-grpc" } }],
    set_node_on_first_message_only: true,
  },
  initial_fetch_timeout: "0s",
  resource_api_version: "V3",
};

/** The workload certificate, secret `default`. */
export const workloadCertificate: Json = { name: "default", sds_config: fromAgent };

/** The trusted roots, secret `ROOTCA`. */
export const trustedRoots: Json = { name: "ROOTCA", sds_config: fromAgent };
