// How Envoy merges one google.protobuf.Struct into another (StructUtil::update).

type Struct = Readonly<Record<string, unknown>>;

/** `before` with the fields of `added`: lists are joined, structs merged, and everything else is replaced. */
export function mergeStruct(before: Struct, added: Struct): Record<string, unknown> {
  const merged: Record<string, unknown> = { ...before };
  for (const [key, value] of Object.entries(added)) {
    const old = Object.hasOwn(merged, key) ? merged[key] : undefined;
    if (Array.isArray(old) && Array.isArray(value)) merged[key] = [...(old as unknown[]), ...(value as unknown[])];
    else if (isStruct(old) && isStruct(value)) merged[key] = mergeStruct(old, value);
    else merged[key] = value;
  }
  return merged;
}

function isStruct(value: unknown): value is Struct {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
