// Who goes first where cores are short: the threads that carry traffic, before the one that reads configuration. A large change keeps
// the main thread busy for tens of milliseconds, and requests of that time waited for it. On Linux every thread has a nice value of
// its own, which threads and processes inherit from the thread that makes them.
import fs from "node:fs";
import os from "node:os";

/** Steps below the workers: the main thread still gets a tenth of a core that two threads want. */
const stepsBelow = 10;
const lowest = 19;

/** The nice value of the main thread; `os` means by a process' number the thread of that number. */
export function mainThreadPriority(): number {
  return os.getPriority(process.pid);
}

/** Puts the main thread behind every thread that was made before. Anybody may do that; on systems other than Linux nothing happens. */
export function giveWayToTraffic(): void {
  if (process.platform !== "linux") return;
  os.setPriority(process.pid, Math.min(lowest, os.getPriority(process.pid) + stepsBelow));
}

/**
 * Gives the calling thread back what the main thread had before it gave way: it was made to replace one that crashed.
 * @returns whether it has that now; without CAP_SYS_NICE it cannot, and has what the main thread has
 */
export function takePriority(wanted: number): boolean {
  if (process.platform !== "linux") return true;
  try {
    const thread = Number(fs.readlinkSync("/proc/thread-self").split("/").at(-1));
    if (os.getPriority(thread) !== wanted) os.setPriority(thread, wanted);
    return true;
  } catch {
    return false;
  }
}
