// Compares two JSON values and names every path at which they differ; resources are paired by name, so order does not matter there.

/** A plain JSON object. */
type JsonObject = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value);

const shorten = (value: unknown): string => (JSON.stringify(value) ?? "nothing").slice(0, 120);

/** One line for each difference, empty when the two are equal. */
export function differences(actual: unknown, expected: unknown, path = ""): readonly string[] {
  if (Object.is(actual, expected)) return [];
  if (Array.isArray(actual) && Array.isArray(expected)) {
    return Array.from({ length: Math.max(actual.length, expected.length) }, (_, index) =>
      differences(actual[index], expected[index], `${path}[${index}]`),
    ).flat();
  }
  if (isObject(actual) && isObject(expected)) {
    const keys = new Set([...Object.keys(actual), ...Object.keys(expected)]);
    return [...keys].flatMap((key) => differences(actual[key], expected[key], path === "" ? key : `${path}.${key}`));
  }
  return [`${path}: got ${shorten(actual)}, expected ${shorten(expected)}`];
}

const nameOf = (resource: unknown): string => {
  if (!isObject(resource)) return "";
  const name = resource["name"] ?? resource["cluster_name"];
  return typeof name === "string" ? name : "";
};

/** The same for two lists of resources. */
export function resourceDifferences(actual: readonly unknown[], expected: readonly unknown[]): readonly string[] {
  const ours = new Map(actual.map((resource) => [nameOf(resource), resource]));
  const theirs = new Map(expected.map((resource) => [nameOf(resource), resource]));
  return [...new Set([...ours.keys(), ...theirs.keys()])].flatMap((name) => {
    if (!ours.has(name)) return [`${name}: is missing`];
    if (!theirs.has(name)) return [`${name}: was not expected`];
    return differences(ours.get(name), theirs.get(name), name);
  });
}
