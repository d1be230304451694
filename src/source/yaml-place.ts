// Finds the place of a path in a parsed YAML document: fields at their key, items at their beginning, through aliases and merges.
import { type Document, isAlias, isMap, isNode, isPair, isScalar, isSeq, type Node, type Pair } from "yaml";

/** The offset of `path` in the document's text. What is not there is placed at its nearest ancestor that is. */
export function offsetOf(root: Document, path: readonly (string | number)[]): number {
  let node: Node | undefined = root.contents ?? undefined;
  let offset = node?.range?.[0] ?? 0;
  for (const step of path) {
    const found = stepInto(root, node, step);
    if (found === undefined) break;
    offset = found.offset;
    node = found.node;
  }
  return offset;
}

interface Step {
  readonly node: Node | undefined;
  readonly offset: number;
}

function stepInto(root: Document, from: Node | undefined, step: string | number): Step | undefined {
  const node = resolved(root, from);
  if (isSeq(node)) {
    const item = typeof step === "number" ? node.items[step] : undefined;
    return isNode(item) ? { node: item, offset: item.range?.[0] ?? 0 } : undefined;
  }
  if (!isMap(node)) return undefined;
  const pair = findPair(root, node.items, String(step), 0);
  if (pair === undefined) return undefined;
  const value = isNode(pair.value) ? pair.value : undefined;
  const key = isNode(pair.key) ? pair.key : undefined;
  return { node: value, offset: key?.range?.[0] ?? value?.range?.[0] ?? 0 };
}

function resolved(root: Document, node: Node | undefined): Node | undefined {
  return isAlias(node) ? node.resolve(root) : node;
}

// Merge keys may nest; deeper than this is a cycle in all but name.
const maxMergeDepth = 20;

function findPair(root: Document, pairs: readonly Pair[], name: string, depth: number): Pair | undefined {
  const plain = camel(name);
  let merged: Pair | undefined;
  for (const pair of pairs) {
    const key = isScalar(pair.key) ? keyText(pair.key.value) : undefined;
    if (key === name || (key !== undefined && camel(key) === plain)) return pair;
    if (key === "<<" && depth < maxMergeDepth && isNode(pair.value)) merged ??= findMerged(root, pair.value, name, depth + 1);
  }
  return merged;
}

// The parser marks merge keys by a symbol in place of the text.
function keyText(value: unknown): string {
  return typeof value === "symbol" ? (value.description ?? "") : String(value);
}

function findMerged(root: Document, value: Node, name: string, depth: number): Pair | undefined {
  const node = resolved(root, value);
  if (isMap(node)) return findPair(root, node.items.filter(isPair), name, depth);
  if (!isSeq(node) || depth > maxMergeDepth) return undefined;
  for (const item of node.items) {
    const found = isNode(item) ? findMerged(root, item, name, depth + 1) : undefined;
    if (found) return found;
  }
  return undefined;
}

function camel(key: string): string {
  return key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
