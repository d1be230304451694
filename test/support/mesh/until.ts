// Waiting for a condition, bounded: a test that waits says what for, and fails with that when it does not come.

/** How often a condition is looked at. */
const pollMs = 5;

/** Resolves once `condition` holds, with the milliseconds that took; rejects after `limitMs`. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, limitMs = 5_000): Promise<number> {
  const startedMs = performance.now();
  for (;;) {
    if (await condition()) return performance.now() - startedMs;
    if (performance.now() - startedMs > limitMs) throw new Error(`after ${limitMs} ms still not so: ${what}`);
    await pause(pollMs);
  }
}

/** Gives others their turn; a pace, never a wait for something. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
