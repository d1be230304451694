// The ports of the mesh's hosts: what Istio's name table lacks and SRV records are made of. Data only.

/** One pod of a headless service behind a port. */
export interface ServiceEndpoint {
  /** The pod's own name, which is answered with `address`. */
  readonly host: string;
  readonly address: string;
  readonly port: number;
}

/** A port of a host. */
export interface ServicePort {
  readonly name: string;
  readonly protocol: "tcp" | "udp";
  readonly port: number;
  /** The pods, for a headless service; otherwise the host itself is where the port is. */
  readonly endpoints?: readonly ServiceEndpoint[];
}

/** Ports by host of the name table. */
export type ServicePorts = Readonly<Record<string, readonly ServicePort[]>>;

/** A host that has ports. */
export interface HostPorts {
  readonly host: string;
  readonly ports: readonly ServicePort[];
}
