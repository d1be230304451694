// Who goes first where cores are short: the threads that carry traffic, before the one that reads configuration. A large change keeps
// the main thread busy for tens of milliseconds, and requests of that time waited for it. On Linux every thread has a nice value of
// its own, which threads and processes inherit from the thread that makes them.
import fs from "node:fs";
import os from "node:os";

/** Steps below the workers: the main thread still gets a tenth of a core that two threads want. */
const stepsBelow = 10;
/** V8's own threads: a quarter of such a core. */
const helperStepsBelow = 5;
const lowest = 19;

/** The nice value of the main thread; `os` means by a process' number the thread of that number. */
export function mainThreadPriority(): number {
  return os.getPriority(process.pid);
}

/** Puts the main thread behind every thread that was made before. Anybody may do that; on systems other than Linux nothing happens. */
export function giveWayToTraffic(): void {
  if (process.platform !== "linux") return;
  const before = os.getPriority(process.pid);
  for (const thread of helpersOfV8()) os.setPriority(thread, Math.min(lowest, before + helperStepsBelow));
  os.setPriority(process.pid, Math.min(lowest, before + stepsBelow));
}

// They mark and compact for the main thread as well, hundreds of milliseconds at a time; but also compile for the workers.
function helpersOfV8(): number[] {
  const tasks = "/proc/self/task";
  return fs
    .readdirSync(tasks)
    .filter((task) => fs.readFileSync(`${tasks}/${task}/comm`, "utf8").trim() === "V8Worker")
    .map(Number);
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
