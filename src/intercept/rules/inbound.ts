// Inbound traffic: which ports, and by REDIRECT (nat) or TPROXY (mangle) to the inbound capture port.
import { chainRules, jump, toReturn } from "../rule.ts";
import type { Match, Rule, Table } from "../rule.ts";
import type { InterceptSettings } from "../settings.ts";
import { forLoopback, inboundSource } from "./loopback.ts";

const tcp: Match = { protocol: "tcp" };
const established = ["RELATED", "ESTABLISHED"] as const;

function toPort(port: number): Match {
  return { protocol: "tcp", destinationPorts: { is: [port] } };
}

/** Rules of nat, and with TPROXY of mangle, for what arrives. */
export function inboundRules(settings: InterceptSettings): readonly Rule[] {
  return [
    ...chainRules("nat", "ISTIO_INBOUND", [[toPort(settings.inboundTunnelPort), toReturn]]),
    ...chainRules("nat", "ISTIO_IN_REDIRECT", [[tcp, { kind: "redirect", port: settings.inboundCapturePort }]]),
    ...(settings.mode === "TPROXY" ? tproxyRules(settings) : []),
    ...(settings.inboundPorts.length === 0 ? [] : captureRules(settings)),
  ];
}

function captureRules(settings: InterceptSettings): readonly Rule[] {
  const tproxy = settings.mode === "TPROXY";
  const table: Table = tproxy ? "mangle" : "nat";
  // With TPROXY packets of a known connection only need the mark; the first one needs the socket too.
  const capture = (match: Match): readonly Rule[] =>
    tproxy
      ? chainRules("mangle", "ISTIO_INBOUND", [
          [{ ...match, connectionState: established }, jump("ISTIO_DIVERT")],
          [match, jump("ISTIO_TPROXY")],
        ])
      : chainRules("nat", "ISTIO_INBOUND", [[match, jump("ISTIO_IN_REDIRECT")]]);
  const { inboundPorts } = settings;
  return [
    ...chainRules(table, "PREROUTING", [[tcp, jump("ISTIO_INBOUND")]]),
    ...(inboundPorts === "*"
      ? [...settings.inboundPortsExclude.flatMap((port) => chainRules(table, "ISTIO_INBOUND", [[toPort(port), toReturn]])), ...capture(tcp)]
      : inboundPorts.flatMap((port) => capture(toPort(port)))),
    ...(tproxy ? divertRules(settings) : []),
  ];
}

function divertRules(settings: InterceptSettings): readonly Rule[] {
  const { tproxyMark: mark, inboundCapturePort: port } = settings;
  return [
    ...chainRules("mangle", "ISTIO_DIVERT", [
      [{}, { kind: "set-mark", mark }],
      [{}, { kind: "accept" }],
    ]),
    ...forLoopback(settings, (own, family) =>
      chainRules("mangle", "ISTIO_TPROXY", [
        [{ protocol: "tcp", destination: { is: own, not: true } }, { kind: "tproxy", port, mark }, family],
      ]),
    ),
  ];
}

/** First in ISTIO_INBOUND of mangle: what the proxy itself sends to the application by loopback is not captured again. */
function tproxyRules(settings: InterceptSettings): readonly Rule[] {
  const mark = settings.tproxyMark;
  return [
    ...chainRules("mangle", "ISTIO_INBOUND", [[{ protocol: "tcp", mark: { is: mark } }, toReturn]]),
    ...inboundSource(settings, (source, family) =>
      chainRules("mangle", "ISTIO_INBOUND", [[{ inInterface: "lo", protocol: "tcp", source }, toReturn, family]]),
    ),
    ...chainRules("mangle", "ISTIO_INBOUND", [[{ inInterface: "lo", protocol: "tcp", mark: { is: outboundMark, not: true } }, toReturn]]),
  ];
}

/** Mark of what the proxy sends to an address of its own pod, which alone comes back inbound; Istio's number. */
const outboundMark = 1338;

/** Marks with TPROXY: kept on the connection, so that the application's replies find the proxy's socket again. */
export function markRules(settings: InterceptSettings): readonly Rule[] {
  if (settings.mode !== "TPROXY") return [];
  const mark = settings.tproxyMark;
  const owners = [
    ...settings.proxyUids.map((id) => ({ kind: "uid", id }) as const),
    ...settings.proxyGids.map((id) => ({ kind: "gid", id }) as const),
  ];
  return [
    ...chainRules("mangle", "PREROUTING", [[{ protocol: "tcp", mark: { is: mark } }, { kind: "save-mark" }]]),
    ...chainRules("mangle", "OUTPUT", [[{ outInterface: "lo", protocol: "tcp", mark: { is: mark } }, toReturn]]),
    ...owners.flatMap((owner) =>
      forLoopback(settings, (own, family) =>
        chainRules("mangle", "OUTPUT", [
          [
            { outInterface: "lo", protocol: "tcp", destination: { is: own, not: true }, owners: [owner] },
            { kind: "set-mark", mark: outboundMark },
            family,
          ],
        ]),
      ),
    ),
    ...chainRules("mangle", "OUTPUT", [[{ protocol: "tcp", connectionMark: mark }, { kind: "restore-mark" }]]),
  ];
}
