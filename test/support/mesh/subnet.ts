// A part of 127.0.0.0/8 for one test mesh: with interception NONE the addresses of services and pods are bound as they are.
import net from "node:net";
import type { TestContext } from "node:test";

/** Addresses that no other test mesh of this machine has. */
export interface Subnet {
  /** `127.X.third.last`. */
  ip(third: number, last: number): string;
  /** A port on which nobody listened a moment ago, for the many addresses that must share one. */
  freePort(): Promise<number>;
}

const lockPort = 19_999;
const first = 32;
const count = 200;

/** Takes a /16 and holds it until the test ends. */
export async function takeSubnet(t: TestContext): Promise<Subnet> {
  for (let attempt = 0; attempt < count; attempt++) {
    const second = first + ((process.pid + attempt) % count);
    const lock = net.createServer();
    const taken = await new Promise<boolean>((resolve) => {
      lock.once("error", () => resolve(false));
      lock.listen({ port: lockPort, host: `127.${second}.255.254`, exclusive: true }, () => resolve(true));
    });
    if (!taken) continue;
    t.after(() => lock.close());
    return { ip: (third, last) => `127.${second}.${third}.${last}`, freePort };
  }
  throw new Error("no free part of 127.0.0.0/8: can this machine bind addresses beside 127.0.0.1?");
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once("error", reject);
    server.listen({ port: 0, host: "0.0.0.0" }, () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
