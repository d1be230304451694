// How long a sidecar that was told to end waits for its application, which was told at the same moment and still calls others.
import type { Clock } from "../clock.ts";
import type { AgentSettings } from "./settings.ts";

/** What the waiting looks at. */
export interface Termination {
  readonly settings: Pick<AgentSettings, "exitOnZeroConnections" | "minimumDrainMs">;
  /** Istio's terminationDrainDuration. */
  readonly drainTimeMs: number;
  readonly connections: () => number;
  readonly clock: Clock;
  /** Ends the waiting early. */
  readonly stopped: Promise<void>;
}

/** How often connections are counted, as Istio's agent does. */
const pollMs = 1_000;

/**
 * Resolves when the proxy may end: after the drain time, or, with EXIT_ON_ZERO_ACTIVE_CONNECTIONS, at the first count of zero
 * from MINIMUM_DRAIN_DURATION on. The latter has no bound of its own: whoever runs the pod has one.
 */
export async function waitForTermination({ settings, drainTimeMs, connections, clock, stopped }: Termination): Promise<void> {
  let over = false;
  // The clock's timers do not keep the process alive, and while it waits nothing else may.
  const hold = setInterval(() => undefined, 0x7fffffff);
  const end = stopped.then(() => void (over = true));
  const wait = (ms: number): Promise<unknown> => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const timer = clock.after(ms, () => resolve(undefined));
    return Promise.race([promise, end]).finally(() => timer.cancel());
  };
  try {
    await wait(settings.exitOnZeroConnections ? settings.minimumDrainMs : drainTimeMs);
    while (settings.exitOnZeroConnections && !over && connections() > 0) await wait(pollMs);
  } finally {
    clearInterval(hold);
  }
}
