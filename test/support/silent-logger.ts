// A logger that says nothing, for code under test that has something to say.
import type { Logger } from "../../src/telemetry/logger.ts";

const nothing = (): void => undefined;

/** Drops every record. */
export const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => silentLogger };
