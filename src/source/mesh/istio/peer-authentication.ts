// security.istio.io PeerAuthentication: whether the sidecars of a workload, a namespace or the mesh demand mTLS.
import type { Fields } from "../object/fields.ts";

/** MutualTLS.mode values; UNSET is left to the wider policy. */
export type MutualTlsMode = "DISABLE" | "PERMISSIVE" | "STRICT";

/** PeerAuthentication.spec; undefined modes are UNSET. */
export interface PeerAuthenticationSpec {
  /** Labels of the workloads it is for; empty for a whole namespace (or, in the root namespace, the mesh). */
  readonly selector: Readonly<Record<string, string>>;
  readonly mode: MutualTlsMode | undefined;
  /** `portLevelMtls`, by the port the workload listens on. */
  readonly ports: ReadonlyMap<number, MutualTlsMode | undefined>;
}

const modes = ["UNSET", "DISABLE", "PERMISSIVE", "STRICT"] as const;
const highestPort = 65_535;

/** Reads a PeerAuthentication; without a spec it says nothing. */
export function readPeerAuthentication(root: Fields): PeerAuthenticationSpec {
  const spec = root.child("spec");
  if (spec === undefined) return { selector: {}, mode: undefined, ports: new Map() };
  const policy = { selector: readSelector(spec.child("selector")), mode: readMode(spec.child("mtls")), ports: readPorts(spec) };
  spec.finish();
  return policy;
}

function readSelector(selector: Fields | undefined): Readonly<Record<string, string>> {
  if (selector === undefined) return {};
  const labels = selector.stringMap("matchLabels");
  for (const [name, value] of Object.entries(labels)) {
    // Istio compares labels as they stand, so a pattern would select nothing.
    if (name === "" || `${name}${value}`.includes("*"))
      selector.error("matchLabels", `has "${name}: ${value}", expected a label without * and with a name`);
  }
  selector.finish();
  return labels;
}

function readMode(mtls: Fields | undefined): MutualTlsMode | undefined {
  const mode = mtls?.oneOf("mode", modes);
  mtls?.finish();
  return mode === "UNSET" ? undefined : mode;
}

function readPorts(spec: Fields): PeerAuthenticationSpec["ports"] {
  const ports = new Map<number, MutualTlsMode | undefined>();
  for (const [name, mode] of spec.map("portLevelMtls", readMode)) {
    const port = /^\d{1,5}$/.test(name) ? Number(name) : 0;
    if (port < 1 || port > highestPort) spec.error("portLevelMtls", `has port "${name}", expected one from 1 to ${highestPort}`);
    ports.set(port, mode);
  }
  return ports;
}
