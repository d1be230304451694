// A reporter of node:test beside the readable one: tells the runner, by descriptor 3, what failed, whether tests are left to run, and
// how many ended how.
import fs from "node:fs";

const tell = (message) => fs.writeSync(3, `${JSON.stringify(message)}\n`);

/** Says nothing itself. The counts come once the file's own event loop has come to its end, which something left open can put off. */
// oxlint-disable-next-line import/no-default-export -- node:test loads reporters so
export default async function* counts(events) {
  let left = 0;
  for await (const { type, data } of events) {
    if (type === "test:fail") tell({ failed: data.name, message: data.details.error?.message ?? "" });
    if (type === "test:summary") tell({ counts: data.counts });
    if (data.nesting !== 0) continue;
    if (type === "test:enqueue" && left++ === 0) tell({ over: false });
    if ((type === "test:pass" || type === "test:fail") && --left === 0) tell({ over: true });
  }
  yield "";
}
