// Kubernetes' LabelSelector: which labels an object has to carry.
import type { Fields } from "./fields.ts";

/** One requirement; `values` is empty for Exists and DoesNotExist. */
export interface LabelRequirement {
  readonly key: string;
  readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  readonly values: readonly string[];
}

/** All requirements have to hold; none at all selects everything. */
export interface LabelSelector {
  readonly requirements: readonly LabelRequirement[];
}

/** Reads a selector: `matchLabels` and `matchExpressions`. */
export function readLabelSelector(item: Fields): LabelSelector {
  const labels = Object.entries(item.stringMap("matchLabels"));
  const selector = {
    requirements: [
      ...labels.map(([key, value]): LabelRequirement => ({ key, operator: "In", values: [value] })),
      ...item.list("matchExpressions", readRequirement),
    ],
  };
  item.finish();
  return selector;
}

function readRequirement(item: Fields): LabelRequirement {
  const requirement = {
    key: item.requiredString("key"),
    operator: item.oneOf("operator", ["In", "NotIn", "Exists", "DoesNotExist"]) ?? "Exists",
    values: item.strings("values"),
  } as const;
  if (!item.has("operator")) item.error("operator", "is missing, expected In, NotIn, Exists or DoesNotExist");
  const wantsValues = requirement.operator === "In" || requirement.operator === "NotIn";
  if (wantsValues !== requirement.values.length > 0)
    item.error(
      "values",
      `${wantsValues ? "is empty, expected at least one value" : "is given, expected none"} for ${requirement.operator}`,
    );
  item.finish();
  return requirement;
}

/** True when the labels satisfy the selector; a missing label satisfies NotIn, as in Kubernetes. */
export function selectsLabels(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  return selector.requirements.every(({ key, operator, values }) => {
    const value = labels[key];
    switch (operator) {
      case "In":
        return value !== undefined && values.includes(value);
      case "NotIn":
        return value === undefined || !values.includes(value);
      case "Exists":
        return value !== undefined;
      case "DoesNotExist":
        return value === undefined;
    }
  });
}
