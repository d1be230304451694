// The host names under which a service is called from one namespace: full, short, and its addresses.
import { isIPv6 } from "node:net";
import { compareText, type MeshService } from "../registry/service.ts";

const kubernetesSuffix = ".svc.cluster.local";

/** Istio's domain list of a service, for clients whose names are resolved in `namespace`. */
export function serviceDomains(service: MeshService, namespace: string, addresses: readonly string[]): readonly string[] {
  const names = [service.hostname, ...service.aliases].flatMap((host) => hostDomains(host, namespace));
  // A headless service's pods are called by names of their own in front of it.
  const ofPods = service.headless ? names.map((name) => `*.${name}`) : [];
  return [...new Set([...names, ...ofPods, ...addresses.filter((address) => !address.includes("/")).map(bracketed)])];
}

/** A host name and its shorter forms, as resolved in `namespace`. */
export function hostDomains(hostname: string, namespace: string): readonly string[] {
  return [hostname, ...alternateNames(hostname, namespace)];
}

/** The server names by which a TLS connection is known to be for a service. */
export function serverNames(service: MeshService, namespace: string): readonly string[] {
  return [service.hostname, ...service.aliases.flatMap((host) => hostDomains(host, namespace))].toSorted(compareText);
}

function alternateNames(hostname: string, namespace: string): readonly string[] {
  const absolute = `${hostname}.`;
  if (!hostname.endsWith(kubernetesSuffix)) return [absolute];
  const name = hostname.slice(0, -kubernetesSuffix.length);
  const own = `.${namespace}`;
  if (!name.endsWith(own) || name === own) return [absolute, name, `${name}.svc`];
  return [absolute, name.slice(0, -own.length), `${name}.svc`, name];
}

const bracketed = (address: string): string => (isIPv6(address) ? `[${address}]` : address);
