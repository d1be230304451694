// A proxy in this process with what tests agree on: one worker, nothing open but its listeners, logs at once, no draining.
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { systemClock } from "../../src/clock.ts";
import { startProxy, type Proxy, type ProxyOptions } from "../../src/proxy.ts";
import { createProcessLogger, type ProcessLogger } from "../../src/telemetry/pino-logger.ts";

/** Starts a proxy, or throws its problems; whoever starts it stops it. */
export async function startForTest(
  options: Pick<ProxyOptions, "source"> & Partial<ProxyOptions>,
  logger: ProcessLogger = createProcessLogger({ level: "error", style: "text" }),
): Promise<Proxy> {
  const started = await startProxy(
    {
      concurrency: 1,
      admin: undefined,
      dns: undefined,
      dnsForward: undefined,
      certsFolder: undefined,
      drainTimeMs: 0,
      accessLogFlushMs: 1,
      logLevel: "error",
      logStyle: "text",
      version: "test",
      watch: false,
      ...options,
    },
    { clock: systemClock, logger },
  );
  if (!started.ok) throw new Error(started.problems.join("\n"));
  return started.proxy;
}

/** Writes files by their path below a folder, with the folders they are in. */
export async function writeAll(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
}
