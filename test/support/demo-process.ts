// `isthmus demo` as a process, with what it says.
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** The program as a user starts it. */
export const isthmus = fileURLToPath(new URL("../../scripts/isthmus", import.meta.url));

/** A demo on its way. */
export interface DemoProcess {
  readonly child: ChildProcess;
  /** Its exit code. */
  readonly exited: Promise<number | null>;
  output(): string;
  /** Waits until it has said `text`; fails when it ends before. */
  saw(text: string): Promise<void>;
}

/** Starts it; whoever does ends it. */
export function startDemo(...args: readonly string[]): DemoProcess {
  const child = spawn(isthmus, ["demo", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const streams = [child.stdout, child.stderr];
  for (const stream of streams) stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const exited = once(child, "close").then(([code]) => code as number | null);
  const saw = async (text: string): Promise<void> => {
    while (!output.includes(text)) {
      const ended = await Promise.race([...streams.map((stream) => once(stream, "data").then(() => false)), exited.then(() => true)]);
      if (ended && !output.includes(text)) assert.fail(`the demo ended before it said "${text}":\n${output}`);
    }
  };
  return { child, exited, output: () => output, saw };
}
