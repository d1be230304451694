// The application as a child of this process (`isthmus run -- COMMAND...`): started, given signals, and waited for.
import { spawn } from "node:child_process";
import { constants } from "node:os";

/** What to start. */
export interface CommandOptions {
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Who runs it; undefined = the user of this process. */
  readonly user?: CommandUser | undefined;
}

/** A user and group by number. */
export interface CommandUser {
  readonly uid: number;
  readonly gid: number;
}

/** A started command. */
export interface Command {
  /** Its exit code, 128 and the signal's number when a signal ended it, as shells have it. Never rejects. */
  readonly ended: Promise<number>;
  signal(signal: NodeJS.Signals): void;
}

/** A started command, or why it could not be: 127 when there is no such program, 126 when it may not be run, as shells have it. */
export type Started =
  | { readonly ok: true; readonly command: Command }
  | { readonly ok: false; readonly code: 126 | 127; readonly problem: string };

/** Starts it with this process' standard input, output and error. */
export function startCommand({ argv, environment, user }: CommandOptions): Promise<Started> {
  const [program = "", ...args] = argv;
  return new Promise((resolve) => {
    const refuse = (cause: unknown): void => resolve(refusal(program, cause));
    let child;
    try {
      child = spawn(program, args, { stdio: "inherit", env: { ...environment }, ...user });
    } catch (thrown) {
      refuse(thrown);
      return;
    }
    const ended = new Promise<number>((end) => {
      child.on("exit", (code, signal) => end(code ?? 128 + signalNumber(signal)));
    });
    child.on("error", refuse);
    child.on("spawn", () => resolve({ ok: true, command: { ended, signal: (signal) => void child.kill(signal) } }));
  });
}

function refusal(program: string, cause: unknown): Started {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  switch (code) {
    case "ENOENT":
      return { ok: false, code: 127, problem: `${program}: there is no such program` };
    case "EACCES":
      return { ok: false, code: 126, problem: `${program}: no permission to run it` };
    case "EPERM":
      return {
        ok: false,
        code: 126,
        problem: `${program}: no permission to run it as another user: that takes root, or CAP_SETUID and CAP_SETGID`,
      };
    default:
      return { ok: false, code: 126, problem: `${program}: cannot be started: ${cause instanceof Error ? cause.message : String(cause)}` };
  }
}

const signalNumber = (signal: NodeJS.Signals | null): number => (signal === null ? 0 : constants.signals[signal]);
