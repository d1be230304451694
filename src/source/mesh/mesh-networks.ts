// Istio's MeshNetworks (`networks.yaml`): which endpoints are on which network, and the gateways into each.
import type { Fields } from "./object/fields.ts";

/** A gateway that a network is reached through (MeshNetworks). */
export interface NetworkGatewayConfig {
  /** Either an IP address or a host name ... */
  readonly address: string;
  /** ... or a Kubernetes service whose external addresses are taken. */
  readonly registryServiceName: string;
  readonly port: number;
}

/** One network of `networks.yaml`. */
export interface MeshNetwork {
  readonly fromRegistry: readonly string[];
  readonly fromCidr: readonly string[];
  readonly gateways: readonly NetworkGatewayConfig[];
}

/** Istio's MeshNetworks (`networks.yaml`): network name to its description. */
export type MeshNetworks = ReadonlyMap<string, MeshNetwork>;

/** Reads MeshNetworks. */
export function readMeshNetworks(root: Fields): MeshNetworks {
  const networks = root.map("networks", (network) => {
    const endpoints = network.list("endpoints", (item) => {
      const entry = { registry: item.string("fromRegistry") ?? "", cidr: item.string("fromCidr") ?? "" };
      item.finish();
      return entry;
    });
    const gateways = network.list("gateways", (item) => {
      const gateway = {
        address: item.string("address") ?? "",
        registryServiceName: item.string("registryServiceName") ?? "",
        port: item.requiredPort("port"),
      };
      item.ignore("locality");
      item.finish();
      if ((gateway.address === "") === (gateway.registryServiceName === ""))
        item.error("address", "expected either address or registryServiceName");
      return gateway;
    });
    network.finish();
    return {
      fromRegistry: endpoints.map((each) => each.registry).filter((each) => each !== ""),
      fromCidr: endpoints.map((each) => each.cidr).filter((each) => each !== ""),
      gateways,
    };
  });
  root.finish();
  return networks;
}
