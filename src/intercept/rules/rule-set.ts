// All rules of some settings, in the order in which each chain holds them. Pure: the same settings, the same rules.
import { chainRules, jump } from "../rule.ts";
import type { Rule } from "../rule.ts";
import type { InterceptSettings } from "../settings.ts";
import { dnsRules } from "./dns.ts";
import { inboundRules, markRules } from "./inbound.ts";
import { interfaceRules, outboundRules } from "./outbound.ts";

/** The rules that Istio's init container makes of the same settings; none with mode NONE. */
export function ruleSet(settings: InterceptSettings): readonly Rule[] {
  if (settings.mode === "NONE") return [];
  return [
    ...interfaceRules(settings),
    ...dropRules(settings),
    ...inboundRules(settings),
    ...outboundRules(settings),
    ...dnsRules(settings),
    ...markRules(settings),
  ];
}

function dropRules({ dropInvalid }: InterceptSettings): readonly Rule[] {
  if (!dropInvalid) return [];
  return [
    ...chainRules("mangle", "PREROUTING", [[{ connectionState: ["INVALID"] }, jump("ISTIO_DROP")]]),
    ...chainRules("mangle", "ISTIO_DROP", [[{}, { kind: "drop" }]]),
  ];
}
