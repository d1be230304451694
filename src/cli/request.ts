// `isthmus request METHOD PATH`: one request to the proxy beside, for hooks and for images without curl.
import { InvalidArgumentError } from "commander";
import type { Command } from "commander";
import type { CliEdge } from "./program.ts";

/** Longest wait for the answer, as for any hook that must not hold up the end of a pod. */
const timeoutMs = 10_000;

/** Adds `isthmus request`. */
export function registerRequest(program: Command, edge: CliEdge, setExit: (code: number) => void): void {
  program
    .command("request")
    .description("ask the proxy of this machine or pod, e.g. POST drain on its status port, GET stats on its admin port")
    .argument("<method>", "GET or POST")
    .argument("<path>", "e.g. stats")
    .option("--debug-port <port>", "where: 15000 admin, 15020 status", port, 15000)
    .action(async (method: string, path: string, flags: { readonly debugPort: number }) => {
      const url = `http://127.0.0.1:${flags.debugPort}/${path.replace(/^\//, "")}`;
      try {
        const response = await fetch(url, { method: method.toUpperCase(), signal: AbortSignal.timeout(timeoutMs) });
        (response.ok ? edge.out : edge.err)(await response.text());
        setExit(response.ok ? 0 : 1);
      } catch (thrown) {
        const cause = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown;
        edge.err(`${url} does not answer: ${cause instanceof Error ? cause.message : String(cause)}\n`);
        setExit(1);
      }
    });
}

function port(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new InvalidArgumentError("Expected a port.");
  return Number(text);
}
