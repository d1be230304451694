// Locality failover that would never happen: without outlier detection nobody learns that an endpoint has failed, so traffic
// stays with the first priority for ever. Istio accepts that, hence a warning.
import type { PolicySettings } from "../istio/destination-rule.ts";
import { effectivePolicy } from "../istio/effective-policy.ts";
import type { LocalitySetting } from "../istio/locality-setting.ts";
import type { MeshView } from "../mesh-view.ts";
import type { FieldPath } from "../object/fields.ts";
import type { FoundIssue } from "./object-issue.ts";

const consequence = "without outlierDetection: a failed endpoint is never noticed, so there is no failover";

/** Every failover without outlier detection, in rules and in MeshConfig. */
export function checkLocality(mesh: MeshView, configFile: string): readonly FoundIssue[] {
  const issues: FoundIssue[] = [];
  for (const rule of mesh.destinationRules) {
    const warn = (path: FieldPath): void => {
      issues.push({
        severity: "warning",
        meta: rule.meta,
        path: [...path, "loadBalancer", "localityLbSetting"],
        message: `fails over ${consequence}`,
      });
    };
    const { policy, subsets } = rule.spec;
    if (isBlind(policy?.settings)) warn(["spec", "trafficPolicy"]);
    for (const [port, settings] of policy?.ports ?? [])
      if (isBlind(settings)) warn(["spec", "trafficPolicy", "portLevelSettings", `port ${port}`]);
    subsets.forEach((subset, index) => {
      // A subset inherits detection from the rule, so it is what both say together that counts.
      const ports = [...(policy?.ports.keys() ?? []), ...(subset.policy?.ports.keys() ?? []), 0];
      const setsLocality = [subset.policy?.settings, ...(subset.policy?.ports.values() ?? [])].some((each) => each?.loadBalancer?.locality);
      if (setsLocality && ports.some((port) => isBlind(effectivePolicy(rule, subset, port))))
        warn(["spec", "subsets", index, "trafficPolicy"]);
    });
  }
  const detected = mesh.destinationRules.some(({ spec }) =>
    [spec.policy, ...spec.subsets.map((subset) => subset.policy)].some((policy) =>
      [policy?.settings, ...(policy?.ports.values() ?? [])].some((settings) => settings?.outlierDetection !== undefined),
    ),
  );
  if (!detected && failsOver(mesh.config.locality)) {
    const message = `fails over ${consequence}; no DestinationRule has any`;
    issues.push({ severity: "warning", file: configFile, line: 1, column: 1, path: ["localityLbSetting"], message });
  }
  return issues;
}

function isBlind(settings: PolicySettings | undefined): boolean {
  return settings?.outlierDetection === undefined && failsOver(settings?.loadBalancer?.locality);
}

function failsOver(setting: LocalitySetting | undefined): boolean {
  return setting?.enabled === true && (setting.failover.length > 0 || setting.failoverPriority.length > 0);
}
