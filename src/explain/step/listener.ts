// The second step: which listener takes the connection.
import { isIP } from "node:net";
import type { Listener } from "../../envoy/listener/listener.ts";
import { RedirectTable } from "../../listener/redirect-table.ts";
import { isSniDnatChain } from "../../listener/sni-dnat.ts";
import { formatAddress } from "../../upstream/host.ts";
import type { ExplainConfig } from "../config.ts";
import { type Narrative, type Reason, sent, type Verdict } from "../explanation.ts";
import type { Destination } from "./dns.ts";

/** A listener and where the connection is addressed to. */
export interface AtListener {
  readonly listener: Listener;
  readonly ip: string | undefined;
  readonly port: number;
}

/** Finds the listener by the original destination, as a redirected connection does; without redirection by the address itself. */
export function findListener(config: ExplainConfig, destination: Destination, story: Narrative): AtListener | Verdict {
  const { ip, port, host } = destination;
  const listeners = [...config.snapshot.listeners.values()].map(({ value }) => value);
  const table = new RedirectTable(listeners.map((model) => ({ model })));
  // An address that nobody here knows can only reach a listener for every address.
  const exact = table.find(ip ?? "192.0.2.1", port)?.model;
  const redirect = listeners.find((listener) => listener.useOriginalDst && listener.trafficDirection !== "INBOUND");
  const found = exact ?? (redirect === undefined && (ip === undefined || isOwn(config, ip)) ? listeners.find(hasPort(port)) : undefined);
  const where = ip === undefined ? `any address, port ${port}` : formatAddress({ address: ip, port });
  if (found !== undefined) {
    story
      .step("listener", found.name, listenerData(found))
      .because(
        redirect === undefined ? `binds ${where}` : `the connection to ${where} is redirected to the proxy, and this listener is for it`,
      )
      .all(ip === undefined ? [] : (config.mesh?.atAddress(ip, port) ?? []));
    return { listener: found, ip, port };
  }
  const findings = config.mesh?.whyNoListener(host, ip, port) ?? [];
  for (const { code, text, place } of findings) if (code !== "unknown_outside") story.warn(code, text, place);
  if (redirect !== undefined) {
    story
      .step("listener", `${redirect.name}: none is for ${where}`, listenerData(redirect))
      .all(findings)
      .all(config.mesh === undefined ? [] : [config.mesh.outboundPolicy()]);
    return { listener: redirect, ip, port };
  }
  return nothingListens(
    config,
    { where, dead: ip === undefined ? undefined : config.mesh?.unanswered(ip, port) },
    findings,
    story,
    listeners,
  );
}

/** Without redirection a connection that no listener binds goes past the proxy, or is refused by it when it is the destination. */
function nothingListens(
  config: ExplainConfig,
  { where, dead }: { readonly where: string; readonly dead: Reason | undefined },
  findings: readonly Reason[],
  story: Narrative,
  listeners: readonly Listener[],
): Verdict {
  const bound = listeners.map((listener) => `${listener.name} on ${listener.addresses.map(formatAddress).join(", ")}`);
  const step = story.step("listener", `none binds ${where}`, {}, true).all(findings);
  if (config.router || config.mesh === undefined) {
    step.because(bound.length === 0 ? "the proxy has no listeners" : `there are ${bound.join("; ")}`);
    return { sent: false, flags: "-", details: "-", text: `refused by the kernel: nothing listens on ${where}` };
  }
  step.because("with interception NONE nothing is redirected");
  if (dead !== undefined)
    return { sent: false, flags: "-", details: "-", text: `goes straight to ${where}, past this proxy, and nobody answers: ${dead.text}` };
  return sent(`goes straight to ${where}, past this proxy`);
}

/** The listener a ClientHello arrives at: the one of the port, or the one whose chains are chosen by SNI-DNAT names. */
export function helloListener(config: ExplainConfig, port: number | undefined, story: Narrative): AtListener | Verdict {
  const listeners = [...config.snapshot.listeners.values()].map(({ value }) => value).filter((listener) => listener.bindToPort);
  const byNames = listeners.find((listener) => listener.filterChains.some(isSniDnatChain));
  const found =
    port === undefined ? (byNames ?? listeners.find(inspectsTls)) : (listeners.find((listener) => hasPort(port)(listener)) ?? undefined);
  if (found === undefined) {
    const there = listeners.map((listener) => listener.name).join(", ") || "none";
    const step = story.step("listener", port === undefined ? "none reads a ClientHello" : `none binds port ${port}`, {}, true);
    step.because(`listeners: ${there}`).all(config.mesh?.aboutServers(port ?? 0) ?? []);
    return { sent: false, flags: "-", details: "-", text: "refused: no listener takes it" };
  }
  const [first] = found.addresses;
  story.step("listener", found.name, listenerData(found)).all(config.mesh?.aboutServers(first?.port ?? 0) ?? []);
  const own = first !== undefined && isAny(first.address) ? config.addresses.find((ip) => isIP(ip) !== 0) : first?.address;
  return { listener: found, ip: own, port: first?.port ?? 0 };
}

function listenerData(listener: Listener): Readonly<Record<string, unknown>> {
  return { listener: listener.name, addresses: listener.addresses.map(formatAddress) };
}

const hasPort =
  (port: number) =>
  (listener: Listener): boolean =>
    listener.addresses.some((address) => address.port === port);

const isAny = (address: string): boolean => address === "0.0.0.0" || address === "::";

const isOwn = ({ addresses, router }: ExplainConfig, ip: string): boolean => router || addresses.length === 0 || addresses.includes(ip);

const inspectsTls = (listener: Listener): boolean =>
  listener.listenerFilters.some(({ extension }) => extension === "envoy.filters.listener.tls_inspector");
