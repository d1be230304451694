// A text of many YAML documents cut into pieces that are parsed by themselves, and which of them a change of the text leaves as they are.

// A marker alone on its line belongs to no document, so that a document does not change when another one comes before it.
const documentStart = /^---(?:[ \t]*\r?\n|(?=\s|$))/gm;
const bareMarker = /^---[ \t]*\r?\n?$/;
const directiveOrEnd = /^(?:%|\.\.\.(?:\s|$))/m;

/** True for a piece that is nothing but a marker. */
export function isBareMarker(piece: string): boolean {
  return bareMarker.test(piece);
}

/**
 * Where the pieces of a text begin; they follow each other without gaps, and none is empty. A text with directives or document ends
 * stays in one piece: what they concern is not for a glance to say.
 */
export function splitDocuments(text: string): readonly number[] {
  if (directiveOrEnd.test(text)) return [0];
  const starts: number[] = [];
  let from = 0;
  for (const { index, 0: marker } of text.matchAll(documentStart)) {
    if (index > from) starts.push(from);
    from = index;
    if (!marker.endsWith("\n")) continue;
    starts.push(from);
    from += marker.length;
  }
  if (from < text.length) starts.push(from);
  return starts;
}

/** The pieces of a text after a change: those of before at its beginning and at its end, and between them those of `middle`. */
export interface Resplit {
  readonly head: number;
  readonly tail: number;
  /** Offsets in the new text. */
  readonly middle: readonly number[];
}

/** Splits a text of which most is as it was; gives what splitting all of it gives. */
export function resplitDocuments(before: string, starts: readonly number[], text: string): Resplit {
  const same = commonStart(before, text);
  const rest = commonEnd(before, text, Math.min(before.length, text.length) - same);
  // What makes a place a border stands around it: so one piece before the change is looked at again, and two after it. The last
  // piece of all ends where the text does, which may be no more.
  const head = Math.max(0, countUpTo(starts, same) - 2);
  const tail = Math.max(0, starts.length - countUpTo(starts, before.length - rest - 1) - 2);
  const from = starts[head] ?? 0;
  const to = tail === 0 ? text.length : (starts[starts.length - tail] ?? 0) + text.length - before.length;
  const middle = text.slice(from, to);
  if ((head > 0 || tail > 0) && directiveOrEnd.test(middle)) return { head: 0, tail: 0, middle: [0] };
  return { head, tail, middle: splitDocuments(middle).map((start) => start + from) };
}

/** How many of the ascending numbers are not above `most`. */
function countUpTo(numbers: readonly number[], most: number): number {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((numbers[middle] ?? 0) <= most) low = middle + 1;
    else high = middle;
  }
  return low;
}

// Long enough for the engine to compare memory instead of looking at characters.
const chunk = 64 * 1024;

function commonStart(left: string, right: string): number {
  return commonLength(Math.min(left.length, right.length), (from, to) => left.slice(from, to) === right.slice(from, to));
}

function commonEnd(left: string, right: string, most: number): number {
  const [leftEnd, rightEnd] = [left.length, right.length];
  return commonLength(most, (from, to) => left.slice(leftEnd - to, leftEnd - from) === right.slice(rightEnd - to, rightEnd - from));
}

function commonLength(most: number, same: (from: number, to: number) => boolean): number {
  let low = 0;
  while (low < most && same(low, Math.min(most, low + chunk))) low = Math.min(most, low + chunk);
  let high = Math.min(most, low + chunk);
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (same(low, middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}
