// The application of many-connections-inside.ts: opens connections and has each one answered, says `ready` while all are open, and
// once it is told to, has each of them answered again before any of them ends.
// usage: many-connections-client.ts ADDRESS PORT COUNT LINE     LINE is what to send; escapes as in JSON
import { connect, type Socket } from "node:net";

const [host = "", port = "", count = "", line = ""] = process.argv.slice(2);
const text = JSON.parse(`"${line}"`) as string;
// More than a kernel's queue of half-open connections are never under way.
const underWay = 200;
const sockets: Socket[] = [];
let opened = 0;
const seen = { first: 0, refused: 0, second: 0, lost: 0, seconds: 0 };
const startedMs = performance.now();

// True once it is answered, false when it ends instead.
function answered(socket: Socket, send: boolean): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (ok: boolean) => (): void => {
      socket.removeAllListeners("data").removeAllListeners("close");
      resolve(ok);
    };
    socket.once("data", end(true)).once("close", end(false));
    if (send) socket.write(text);
  });
}

async function lane(): Promise<void> {
  while (opened < Number(count)) {
    opened++;
    const socket = connect({ host, port: Number(port), noDelay: true });
    socket.on("error", () => socket.destroy());
    if (await answered(socket, true)) sockets.push(socket);
    else seen.refused++;
  }
}

await Promise.all(Array.from({ length: underWay }, lane));
seen.first = sockets.length;
const told = new Promise((resolve) => process.once("SIGUSR2", resolve));
console.log("ready");
// Signals alone do not keep Node alive.
const waiting = setInterval(() => undefined, 1000);
await told;
clearInterval(waiting);
for (let from = 0; from < sockets.length; from += underWay) {
  const results = await Promise.all(sockets.slice(from, from + underWay).map((socket) => answered(socket, true)));
  for (const ok of results) seen[ok ? "second" : "lost"]++;
}
seen.seconds = Math.round((performance.now() - startedMs) / 1000);
console.log(`ended ${JSON.stringify(seen)}`);
process.exit(0);
