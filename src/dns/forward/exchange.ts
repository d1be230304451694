// One question to one name server over one socket of its own, so that every query has a random source port beside its random
// id. The outcome is a reply to this question or a failure; what to make of it is attempt.ts, trying the next server forwarder.ts.
import { createSocket } from "node:dgram";
import { connect, isIPv6, type Socket } from "node:net";
import type { Clock } from "../../clock.ts";
import { MAX_MESSAGE_LENGTH, isReplyTo, readUint16, writeUint16 } from "../codec.ts";
import type { NameServer } from "../resolv-conf.ts";

/** UDP or TCP: a query travels on as it came. */
export type Transport = "udp" | "tcp";

/** What is asked, of whom, and for how long. */
export interface ExchangeOptions {
  readonly server: NameServer;
  /** The query with its id in place; owned by the exchange from here on. */
  readonly request: Buffer;
  readonly questionEnd: number;
  /** Milliseconds from the first packet to the whole reply. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Whether a reply to this question may be the server's; others are waited past. */
  readonly accepts: (reply: Buffer) => boolean;
  /** Called for each message that was no such reply. */
  readonly onDiscarded: () => void;
}

/** A reply, or why there is none. */
export type ExchangeOutcome = { readonly reply: Buffer } | { readonly failure: string; readonly timedOut: boolean };

/** Called once, unless cancelled. */
export type ExchangeDone = (outcome: ExchangeOutcome) => void;

/** An exchange on its way. */
export interface Exchange {
  /** The port it speaks from, 0 while not known. */
  localPort(): number;
  /** Frees the socket without an outcome. */
  cancel(): void;
}

/** Asks; the socket is closed before `done` is called. */
export function startExchange(transport: Transport, options: ExchangeOptions, done: ExchangeDone): Exchange {
  return transport === "udp" ? udpExchange(options, done) : tcpExchange(options, done);
}

function failed(failure: string): ExchangeOutcome {
  return { failure, timedOut: false };
}

/** What is the same on either socket. */
interface Settlement {
  /** Tells the outcome, unless there was one or it was cancelled. */
  finish(outcome: ExchangeOutcome): void;
  cancel(): void;
  isOpen(): boolean;
}

/** One outcome, by the deadline; `free` closes the socket, before the outcome is told. */
function settleOnce({ clock, timeoutMs }: ExchangeOptions, free: () => void, done: ExchangeDone): Settlement {
  let open = true;
  const cancel = (): void => {
    if (!open) return;
    open = false;
    timer.cancel();
    free();
  };
  const finish = (outcome: ExchangeOutcome): void => {
    if (!open) return;
    cancel();
    done(outcome);
  };
  const timer = clock.after(timeoutMs, () => finish({ failure: "timed out", timedOut: true }));
  return { finish, cancel, isOpen: () => open };
}

function udpExchange(options: ExchangeOptions, done: ExchangeDone): Exchange {
  const { server, request, questionEnd } = options;
  const family = isIPv6(server.host) ? 6 : 4;
  const socket = createSocket({
    type: family === 6 ? "udp6" : "udp4",
    // Name servers are addresses; Node's default would ask the system resolver even so.
    lookup: (host, _options, found) => found(null, host, family),
  });
  const { finish, cancel, isOpen } = settleOnce(options, () => socket.close(), done);
  socket.on("error", (error) => finish(failed(error.message)));
  const id = readUint16(request, 0);
  // A connected socket takes datagrams from this server only; what does not fit the question is somebody's guess: wait on.
  socket.on("message", (reply) => {
    if (isReplyTo(reply, request, id, questionEnd) && options.accepts(reply)) finish({ reply });
    else options.onDiscarded();
  });
  socket.connect(server.port, server.host, (error?: Error) => {
    if (error) finish(failed(error.message));
    else if (isOpen()) socket.send(request);
  });
  return { localPort: () => (isOpen() ? boundPort(() => socket.address().port) : 0), cancel };
}

/** `address()` throws until the socket is bound, which is not yet a fault. */
function boundPort(read: () => number): number {
  try {
    return read();
  } catch {
    return 0;
  }
}

function tcpExchange(options: ExchangeOptions, done: ExchangeDone): Exchange {
  const { server, request, questionEnd } = options;
  const socket: Socket = connect({ host: server.host, port: server.port });
  const { finish, cancel } = settleOnce(options, () => void socket.destroy(), done);
  socket.on("error", (error) => finish(failed(error.message)));
  socket.on("close", () => finish(failed("closed without a reply")));

  const framed = Buffer.allocUnsafe(request.length + 2);
  writeUint16(framed, 0, request.length);
  request.copy(framed, 2);
  socket.write(framed);
  const received = Buffer.allocUnsafe(MAX_MESSAGE_LENGTH + 2);
  let length = 0;
  socket.on("data", (chunk: Buffer) => {
    // One question, one reply: what a server sends beyond that is dropped with the connection.
    length += chunk.copy(received, length);
    if (length < 2) return;
    const end = 2 + readUint16(received, 0);
    if (length < end) return;
    const reply = Buffer.from(received.subarray(2, end));
    const fits = isReplyTo(reply, request, readUint16(request, 0), questionEnd);
    finish(fits && options.accepts(reply) ? { reply } : failed("replied to something else"));
  });
  return { localPort: () => socket.localPort ?? 0, cancel };
}
