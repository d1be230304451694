// A process that is busy for as many milliseconds as it is told, over IPC: what any work beside the traffic costs it on this machine.
process.on("disconnect", () => process.exit(0));
process.on("message", (ms: number) => {
  const until = performance.now() + ms;
  let turns = 0;
  while (performance.now() < until) turns++;
  process.send?.(turns);
});
