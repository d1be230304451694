// Sockets for the DNS tests: clients, scripted upstream servers, counters and a log that remember.
import { createSocket } from "node:dgram";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { systemClock } from "../../src/clock.ts";
import { startDnsResponder, type DnsResponder, type DnsResponderOptions } from "../../src/dns/responder.ts";
import type { StatsScope } from "../../src/telemetry/stats.ts";
import { silentLogger } from "../support/silent-logger.ts";
import { readReply, type ReadReply } from "../unit/dns/messages.ts";

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Sends each message from one socket and resolves with as many replies, in order of arrival. */
export function askUdp(address: Address, messages: readonly Buffer[], replies = messages.length): Promise<Buffer[]> {
  const socket = createSocket("udp4");
  return new Promise((resolve, reject) => {
    const received: Buffer[] = [];
    const timer = setTimeout(() => finish(new Error(`${received.length} of ${replies} replies`)), 5000);
    const finish = (error?: Error): void => {
      clearTimeout(timer);
      socket.close();
      if (error) reject(error);
      else resolve(received);
    };
    socket.on("error", finish);
    socket.on("message", (reply) => {
      received.push(reply);
      if (received.length === replies) finish();
    });
    for (const message of messages) socket.send(message, address.port, address.host);
  });
}

export function frame(message: Buffer): Buffer {
  const prefix = Buffer.alloc(2);
  prefix.writeUInt16BE(message.length);
  return Buffer.concat([prefix, message]);
}

/** Splits a byte stream into length-prefixed messages. */
export function unframe(onMessage: (message: Buffer) => void): (chunk: Buffer) => void {
  let rest = Buffer.alloc(0);
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
      const end = 2 + rest.readUInt16BE(0);
      onMessage(rest.subarray(2, end));
      rest = rest.subarray(end);
    }
  };
}

/** Writes `chunks` to one connection and resolves with `replies` messages. */
export function askTcp(address: Address, chunks: readonly Buffer[], replies: number): Promise<Buffer[]> {
  const socket = connect(address);
  return new Promise((resolve, reject) => {
    const received: Buffer[] = [];
    const timer = setTimeout(() => finish(new Error(`${received.length} of ${replies} replies`)), 5000);
    const finish = (error?: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      if (error) reject(error);
      else resolve(received);
    };
    socket.on("error", finish);
    socket.on("close", () => finish(new Error("closed")));
    socket.on(
      "data",
      unframe((message) => {
        received.push(message);
        if (received.length === replies) finish();
      }),
    );
    for (const chunk of chunks) socket.write(chunk);
  });
}

/** What an upstream server sends for a query: any number of messages, none to stay silent. */
export type Script = (query: Buffer, transport: "udp" | "tcp", port: number) => readonly Buffer[];

export interface Upstream extends Address {
  readonly queries: Buffer[];
  close(): Promise<void>;
}

/** A name server on UDP and TCP that follows a script. */
export async function startUpstream(script: Script): Promise<Upstream> {
  for (let attempt = 1; ; attempt++) {
    const queries: Buffer[] = [];
    const sockets = new Set<Socket>();
    const tcp = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on(
        "data",
        unframe((query) => {
          queries.push(query);
          for (const reply of script(query, "tcp", socket.remotePort ?? 0)) socket.write(frame(reply));
        }),
      );
    });
    await new Promise<void>((resolve) => tcp.listen(0, "127.0.0.1", resolve));
    const { port } = tcp.address() as AddressInfo;
    const udp = createSocket("udp4");
    const bound = await new Promise<boolean>((resolve) => {
      udp.once("error", () => resolve(false));
      udp.bind(port, "127.0.0.1", () => resolve(true));
    });
    if (!bound && attempt < 8) {
      tcp.close();
      continue;
    }
    udp.on("message", (query, peer) => {
      queries.push(query);
      for (const reply of script(query, "udp", peer.port)) udp.send(reply, peer.port, peer.address);
    });
    return {
      host: "127.0.0.1",
      port,
      queries,
      close: async () => {
        for (const socket of sockets) socket.destroy();
        await Promise.all([new Promise((resolve) => udp.close(() => resolve(undefined))), new Promise((resolve) => tcp.close(resolve))]);
      },
    };
  }
}

export interface RecordedStats extends StatsScope {
  readonly values: Map<string, number>;
}

/** Counters as a map; a histogram's value is the number of records. */
export function recordStats(): RecordedStats {
  const values = new Map<string, number>();
  const add = (name: string, amount: number): void => void values.set(name, (values.get(name) ?? 0) + amount);
  const scope: RecordedStats = {
    values,
    counter: (name) => ({ inc: () => add(name, 1), add: (amount) => add(name, amount) }),
    gauge: (name) => ({ inc: () => add(name, 1), dec: () => add(name, -1), set: (value) => void values.set(name, value) }),
    histogram: (name) => ({ record: () => add(name, 1) }),
    scope: () => scope,
  };
  return scope;
}

export interface StartedResponder {
  readonly responder: DnsResponder;
  readonly stats: RecordedStats;
}

/** A responder at a free port of loopback, which asks nobody unless told to. */
export async function startResponder(options: Partial<DnsResponderOptions>): Promise<StartedResponder> {
  const stats = recordStats();
  const common = { host: "127.0.0.1", port: 0, nameServers: [], clock: systemClock, logger: silentLogger, stats };
  return { responder: await startDnsResponder({ ...common, ...options }), stats };
}

/** Sends one message and gives its reply. */
export async function sendOne(address: Address, transport: "udp" | "tcp", message: Buffer): Promise<Buffer> {
  const replies = transport === "udp" ? askUdp(address, [message]) : askTcp(address, [frame(message)], 1);
  return (await replies)[0]!;
}

/** Sends one message and reads its reply. */
export async function askOne(address: Address, transport: "udp" | "tcp", message: Buffer): Promise<ReadReply> {
  return readReply(await sendOne(address, transport, message));
}
