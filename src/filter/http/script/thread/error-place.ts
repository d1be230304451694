// Where in a script something went wrong, from the stack that Node gives.
import { fileURLToPath } from "node:url";

/** `FILE:LINE: message`; without a place when the stack names none. Never throws, whatever was thrown. */
export function describeThrown(thrown: unknown, module: string): string {
  if (!(thrown instanceof Error)) return `${module}: threw ${printable(thrown)}`;
  const stack = printable(thrown.stack ?? "");
  const message = `${printable(thrown.name)}: ${printable(thrown.message)}`.slice(0, maxMessageChars).replaceAll(/\s*\n\s*/g, " ");
  return `${placeIn(stack) ?? module}: ${message}`;
}

const ownFolder = new URL(".", import.meta.url).href;
// A message is for one line of a log.
const maxMessageChars = 500;

/** The first line of a syntax error's stack is its place; otherwise it is the first frame in a file. */
function placeIn(stack: string): string | undefined {
  const opening = /^(file:\/\/\S+?|\/\S+?):(\d+)$/.exec(stack.split("\n", 1)[0] ?? "") ?? undefined;
  // Frames of this folder are not the script's.
  const frames = stack.matchAll(/^\s+at .*?\(?(file:\/\/[^\s()]+?):(\d+):\d+\)?$/gm);
  const frame = opening ?? [...frames].find(([, file = ""]) => !file.startsWith(ownFolder));
  if (frame === undefined) return undefined;
  const [, file = "", line = ""] = frame;
  return `${file.startsWith("file:") && URL.canParse(file) ? fileURLToPath(file) : file}:${line}`;
}

function printable(value: unknown): string {
  try {
    return String(value).slice(0, maxStackChars);
  } catch {
    return "something that cannot be printed";
  }
}

const maxStackChars = 10_000;
