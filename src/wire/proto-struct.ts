// google.protobuf.Struct as JSON.
import { lastBytes, readProto } from "./protobuf.ts";

// Deeper than anybody means it to be is left out, so that bytes cannot exhaust the stack.
const maxStructDepth = 32;

/** google.protobuf.Struct. */
export function readStruct(bytes: Buffer, depth = 0): Readonly<Record<string, unknown>> {
  const out: [string, unknown][] = [];
  for (const { field, bytes: entry } of readProto(bytes) ?? []) {
    const pair = field === 1 ? readProto(entry) : undefined;
    if (pair !== undefined) out.push([lastBytes(pair, 1).toString("utf8"), readValue(lastBytes(pair, 2), depth)]);
  }
  return Object.fromEntries(out);
}

function readValue(bytes: Buffer, depth: number): unknown {
  const field = readProto(bytes)?.at(-1);
  if (field === undefined || depth >= maxStructDepth) return null;
  switch (field.field) {
    case 2:
      return field.bytes.length === 8 ? field.bytes.readDoubleLE(0) : null;
    case 3:
      return field.bytes.toString("utf8");
    case 4:
      return field.value !== 0;
    case 5:
      return readStruct(field.bytes, depth + 1);
    case 6:
      return (readProto(field.bytes) ?? []).filter((item) => item.field === 1).map((item) => readValue(item.bytes, depth + 1));
    default:
      return null;
  }
}
