// One try of one question with one server: UDP first where the client came by UDP, TCP where that reply was cut or cannot be
// trusted, once more without EDNS or with a new cookie where the server demands it. The outcome is ready for the client.
import { randomBytes, randomInt } from "node:crypto";
import type { Clock } from "../../clock.ts";
import { ADVERTISED_UDP_SIZE, HEADER_LENGTH, flag, readUint16, responseCode, writeUint16 } from "../codec.ts";
import { startExchange, type Exchange, type ExchangeOutcome, type Transport } from "./exchange.ts";
import { CLIENT_COOKIE_LENGTH, type NameServerState } from "./name-server-state.ts";
import type { ForwardSettings } from "./settings.ts";
import {
  addedEdns,
  clientReply,
  extendedCode,
  mixCase,
  readCookie,
  readRecords,
  upstreamQuery,
  type OptRecord,
} from "./upstream-message.ts";

/** A client's question. */
export interface Question {
  /** The whole query, as it came. */
  readonly request: Buffer;
  readonly questionEnd: number;
  readonly transport: Transport;
}

/** What a try works with. */
export interface AttemptOptions {
  readonly question: Question;
  readonly state: NameServerState;
  readonly settings: ForwardSettings;
  /** When the try ends, on the clock. */
  readonly deadlineMs: number;
  readonly clock: Clock;
  readonly onTcpFallback: () => void;
  readonly onDiscarded: () => void;
}

/** `good`: an answer, or the word that there is none; `bad`: the server could not or would not say. */
export type AttemptOutcome =
  | { readonly kind: "good"; readonly reply: Buffer }
  | { readonly kind: "bad"; readonly reply: Buffer }
  | { readonly kind: "failed"; readonly reason: string; readonly timedOut: boolean };

/** The server wants another cookie: RFC 7873, section 5.3. */
const BAD_COOKIE = 23;
/** Exchanges of a try at most: new cookie, without EDNS, over TCP, and the one they are about. */
const MAX_EXCHANGES = 4;
const unanswered: readonly number[] = [
  responseCode.formatError,
  responseCode.serverFailure,
  responseCode.notImplemented,
  responseCode.refused,
];

/** A try on its way. */
export class Attempt {
  readonly #options: AttemptOptions;
  readonly #done: (outcome: AttemptOutcome) => void;
  #exchange: Exchange | undefined;
  #query: Buffer = Buffer.alloc(0);
  #left = MAX_EXCHANGES;
  /** What UDP gave in part, for want of better. */
  #cut: Buffer | undefined;

  /** @param done called once, unless the try is cancelled; never from within the constructor */
  constructor(options: AttemptOptions, done: (outcome: AttemptOutcome) => void) {
    this.#options = options;
    this.#done = done;
    this.#ask(options.question.transport);
  }

  /** True when a message from `port` with `id` is the query of this try: the server leads back to us. */
  owns(port: number, id: number): boolean {
    return this.#exchange !== undefined && readUint16(this.#query, 0) === id && this.#exchange.localPort() === port;
  }

  /** Ends it without an outcome. */
  cancel(): void {
    this.#exchange?.cancel();
  }

  #ask(transport: Transport): void {
    const { question, state, clock, deadlineMs, onDiscarded } = this.#options;
    this.#left--;
    this.#query = this.#prepare(transport);
    const { questionEnd } = question;
    const cookie = sentCookie(this.#query, questionEnd);
    this.#exchange = startExchange(
      transport,
      {
        server: state.server,
        request: this.#query,
        questionEnd,
        timeoutMs: Math.max(1, deadlineMs - clock.nowMs()),
        clock,
        accepts: (reply) => !carriesOtherCookie(reply, questionEnd, cookie),
        onDiscarded,
      },
      (outcome) => this.#onOutcome(transport, outcome),
    );
  }

  #prepare(transport: Transport): Buffer {
    const { question, state, settings, clock } = this.#options;
    const nowMs = clock.nowMs();
    const { clientCookie, serverCookie } = state;
    const withCookie = settings.cookies && state.knowsEdns(nowMs);
    const query = upstreamQuery(question.request, question.questionEnd, {
      cookie: !withCookie ? undefined : serverCookie ? Buffer.concat([clientCookie, serverCookie]) : clientCookie,
      maxUdpBytes: settings.tcpOnTruncation ? ADVERTISED_UDP_SIZE : undefined,
    });
    writeUint16(query, 0, randomInt(0x10000));
    if (settings.mixedCase && transport === "udp" && state.keepsCase(nowMs)) {
      mixCase(query, question.questionEnd, randomBytes(question.questionEnd));
    }
    return query;
  }

  #onOutcome(transport: Transport, outcome: ExchangeOutcome): void {
    const { question, state, clock } = this.#options;
    if ("failure" in outcome) {
      if (this.#cut) this.#finish({ kind: "good", reply: this.#cut });
      else this.#finish({ kind: "failed", reason: outcome.failure, timedOut: outcome.timedOut });
      return;
    }
    const { reply } = outcome;
    const { request, questionEnd } = question;
    const records = readRecords(reply, questionEnd);
    if (records === "malformed") {
      this.#finish({ kind: "failed", reason: "sent a malformed reply", timedOut: false });
      return;
    }
    const nowMs = clock.nowMs();
    const next = this.#next(transport, reply, records.opt, nowMs);
    if (next && this.#left > 0 && nowMs < this.#options.deadlineMs) {
      this.#ask(next);
      return;
    }
    state.replied();
    const code = extendedCode(reply, records.opt);
    const kind = unanswered.includes(code) || code === BAD_COOKIE ? "bad" : "good";
    this.#finish({ kind, reply: clientReply(reply, request, questionEnd, records) });
  }

  /** By what to ask this server again; undefined when `reply` will do. */
  #next(transport: Transport, reply: Buffer, opt: OptRecord | undefined, nowMs: number): Transport | undefined {
    const { question, state, settings, onTcpFallback } = this.#options;
    const code = extendedCode(reply, opt);
    if (addedEdns(question.request, this.#query) && !opt && (code === responseCode.formatError || code === responseCode.notImplemented)) {
      state.refusedEdns(nowMs);
      return transport;
    }
    const cookie = readCookie(reply, opt);
    const hadCookie = state.serverCookie !== undefined;
    // Its own part has 8 to 32 bytes; its first part, ours, has been compared already.
    if (cookie && cookie.length >= 16 && cookie.length <= 40) state.serverCookie = Buffer.from(cookie.subarray(CLIENT_COOKIE_LENGTH));
    if (code === BAD_COOKIE && this.#left === MAX_EXCHANGES - 1) return transport;
    if (transport === "tcp") return undefined;
    if (code === BAD_COOKIE) return "tcp";
    let fallback = false;
    if (!sameCase(reply, this.#query, question.questionEnd)) {
      state.foldedCase(nowMs);
      fallback = true;
    }
    // A server that has given cookies gives them always, unless it was restarted as another: TCP tells (RFC 7873, section 5.3).
    if (hadCookie && !cookie && sentCookie(this.#query, question.questionEnd)) {
      state.serverCookie = undefined;
      fallback = true;
    } else if (!fallback && settings.tcpOnTruncation && readUint16(reply, 2) & flag.truncated) {
      const records = readRecords(reply, question.questionEnd);
      if (records !== "malformed") this.#cut = clientReply(reply, question.request, question.questionEnd, records);
      fallback = true;
    }
    if (fallback) onTcpFallback();
    return fallback ? "tcp" : undefined;
  }

  #finish(outcome: AttemptOutcome): void {
    this.#exchange = undefined;
    this.#done(outcome);
  }
}

function sameCase(reply: Buffer, query: Buffer, questionEnd: number): boolean {
  return reply.compare(query, HEADER_LENGTH, questionEnd, HEADER_LENGTH, questionEnd) === 0;
}

/** The client cookie that a query carries. */
function sentCookie(query: Buffer, questionEnd: number): Buffer | undefined {
  const records = readRecords(query, questionEnd);
  return records === "malformed" ? undefined : readCookie(query, records.opt)?.subarray(0, CLIENT_COOKIE_LENGTH);
}

/** A reply with another client's cookie was not made for this query. */
function carriesOtherCookie(reply: Buffer, questionEnd: number, sent: Buffer | undefined): boolean {
  if (!sent) return false;
  const records = readRecords(reply, questionEnd);
  const cookie = records === "malformed" ? undefined : readCookie(reply, records.opt);
  return cookie !== undefined && !cookie.subarray(0, CLIENT_COOKIE_LENGTH).equals(sent);
}
