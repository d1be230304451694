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

/**
 * Puts the main thread behind every thread that was made before. Anybody may do that; on systems other than Linux nothing happens, nor
 * where the system says no: traffic is served all the same.
 */
export function giveWayToTraffic(): void {
  if (process.platform !== "linux") return;
  const before = os.getPriority(process.pid);
  for (const thread of helpersOfV8()) lower(thread, before + helperStepsBelow);
  lower(process.pid, before + stepsBelow);
}

function lower(thread: number, nice: number): void {
  try {
    os.setPriority(thread, Math.min(lowest, nice));
  } catch {
    // A helper that has ended meanwhile, or a /proc of other processes.
  }
}

// They mark and compact for the main thread as well, hundreds of milliseconds at a time; but also compile for the workers.
function helpersOfV8(): number[] {
  const tasks = "/proc/self/task";
  try {
    const all = fs.readdirSync(tasks).map((task) => fs.readFileSync(`${tasks}/${task}/status`, "utf8"));
    return all.filter((status) => status.startsWith("Name:\tV8Worker\n")).map(ownNumber);
  } catch {
    // A thread that has ended meanwhile, or no /proc.
    return [];
  }
}

// A /proc of an outer PID namespace has the numbers of that one in its names; those of the thread's own come last here (proc_pid_status(5)).
function ownNumber(status: string): number {
  return Number(/^NSpid:.*\t(\d+)$/m.exec(status)?.[1]);
}

/**
 * Gives the calling thread back what the main thread had before it gave way: it was made to replace one that crashed.
 * @returns whether it has that now; without CAP_SYS_NICE it cannot, and has what the main thread has
 */
export function takePriority(wanted: number): boolean {
  if (process.platform !== "linux") return true;
  try {
    const thread = ownNumber(fs.readFileSync("/proc/thread-self/status", "utf8"));
    if (os.getPriority(thread) !== wanted) os.setPriority(thread, wanted);
    return true;
  } catch {
    return false;
  }
}
