// Kubernetes' published schemas, from the package kubernetes-models, and what an API server refuses beyond them: unknown fields.

interface Problem {
  readonly instancePath: string;
  readonly message?: string;
  readonly keyword: string;
  readonly params: unknown;
}

interface Validate {
  (value: unknown): boolean;
  readonly errors: readonly Problem[] | null;
}

/** Schema of each kind that occurs in tests. */
const schemas: Readonly<Record<string, string>> = {
  "v1/Pod": "IoK8sApiCoreV1Pod",
  "v1/Service": "IoK8sApiCoreV1Service",
  "v1/ServiceAccount": "IoK8sApiCoreV1ServiceAccount",
  "v1/ConfigMap": "IoK8sApiCoreV1ConfigMap",
  "v1/Namespace": "IoK8sApiCoreV1Namespace",
  "apps/v1/Deployment": "IoK8sApiAppsV1Deployment",
  "apps/v1/StatefulSet": "IoK8sApiAppsV1StatefulSet",
  "apps/v1/DaemonSet": "IoK8sApiAppsV1DaemonSet",
  "batch/v1/Job": "IoK8sApiBatchV1Job",
  "batch/v1/CronJob": "IoK8sApiBatchV1CronJob",
  "policy/v1/PodDisruptionBudget": "IoK8sApiPolicyV1PodDisruptionBudget",
  "rbac.authorization.k8s.io/v1/Role": "IoK8sApiRbacV1Role",
  "rbac.authorization.k8s.io/v1/RoleBinding": "IoK8sApiRbacV1RoleBinding",
};

/** One line for each thing that the schema of its kind does not have or does not allow; a List's items are judged one by one. */
export async function schemaProblems(object: unknown): Promise<readonly string[]> {
  if (typeof object !== "object" || object === null) return ["no object"];
  const { apiVersion, kind, items } = object as { apiVersion?: unknown; kind?: unknown; items?: unknown };
  if (kind === "List" && Array.isArray(items)) return (await Promise.all(items.map(schemaProblems))).flat();
  const type = `${String(apiVersion)}/${String(kind)}`;
  const schema = schemas[type];
  if (schema === undefined) return [`${type}: no schema is named for it`];
  // The compiled schemas are files of the package that its `exports` do not name.
  const file = new URL(`_schemas/${schema}.mjs`, import.meta.resolve("kubernetes-models"));
  const { validate } = (await import(file.href)) as { readonly validate: Validate };
  const unread = new Unread();
  const valid = validate(unread.watch(object, ""));
  const wrong = (valid ? [] : (validate.errors ?? [])).map(
    ({ instancePath, keyword, params, message }) => `${type}${instancePath}: ${message ?? `${keyword} ${JSON.stringify(params)}`}`,
  );
  return [...wrong, ...unread.fields().map((path) => `${type}${path}: unknown field`)];
}

/**
 * Objects that notice which of their fields somebody looks at. The compiled schemas look at each field that they know, so what
 * nobody looked at is what an API server calls an unknown field; the schemas themselves allow those.
 */
class Unread {
  readonly #fields = new Set<string>();
  readonly #proxies = new Map<object, object>();

  watch(value: unknown, path: string): unknown {
    if (typeof value !== "object" || value === null) return value;
    const known = this.#proxies.get(value);
    if (known) return known;
    if (!Array.isArray(value)) for (const key of Object.keys(value)) this.#fields.add(`${path}/${key}`);
    const proxy = new Proxy(value, {
      get: (target, key, receiver): unknown => {
        const at = `${path}/${String(key)}`;
        this.#fields.delete(at);
        return this.watch(Reflect.get(target, key, receiver), at);
      },
    });
    this.#proxies.set(value, proxy);
    return proxy;
  }

  fields(): readonly string[] {
    return [...this.#fields];
  }
}
