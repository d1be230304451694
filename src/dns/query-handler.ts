// What becomes of one received message: an answer from the table, a failure, or a trip upstream. Knows no sockets.
import type { Counter } from "../telemetry/stats.ts";
import { AnswerEncoder, NOT_OURS, type AnswerSettings } from "./answer.ts";
import type { CachingUpstream, ReplySource } from "./cache/caching-upstream.ts";
import { MAX_MESSAGE_LENGTH, Query, encodeFailure, parseQuery, responseCode, truncateReply, udpLimit } from "./codec.ts";
import type { Transport } from "./forward/exchange.ts";
import type { Forwarder } from "./forward/forwarder.ts";
import type { NameTable } from "./name-table.ts";
import type { QueryLog } from "./query-log.ts";
import { ServiceAnswerEncoder } from "./service-answer.ts";

/** Where replies go; `peer` is what the listener passed in with the request. */
export interface ReplySink<Peer> {
  send(reply: Buffer, peer: Peer): void;
}

/** What is counted of all queries, whoever answers them. */
export interface QueryCounters {
  /** `dns_requests_total`: all that were no noise. */
  readonly requests: Counter;
  /** `dns_mesh_answers_total`: those answered from the name table. */
  readonly mesh: Counter;
  /** `dns_overflow_total`: SERVFAIL because too many wait to be handled. */
  readonly overflow: Counter;
}

/** What a handler works with. */
export interface QueryHandlerOptions {
  readonly forwarder: Forwarder;
  /** Stands before the forwarder; undefined = every query is a trip upstream. */
  readonly cache?: CachingUpstream | undefined;
  readonly answers: AnswerSettings;
  readonly log?: QueryLog;
  readonly counters: QueryCounters;
  /** Uniform in [0, 1): the order of addresses. */
  readonly random: () => number;
  /** Before the first table: SERVFAIL, or forward, as Istio does when it listens on port 53. */
  readonly beforeTable: "servfail" | "forward";
}

/** Answers queries; one instance for all listeners of a responder. */
export class QueryHandler {
  readonly #options: QueryHandlerOptions;
  readonly #encoder: AnswerEncoder;
  readonly #services: ServiceAnswerEncoder;
  readonly #query = new Query();
  readonly #out = Buffer.allocUnsafeSlow(MAX_MESSAGE_LENGTH);
  #table: NameTable | undefined;

  constructor(options: QueryHandlerOptions) {
    this.#options = options;
    this.#encoder = new AnswerEncoder(options.random, options.answers);
    this.#services = new ServiceAnswerEncoder(options.random, options.answers);
  }

  /** Replaces the table; the next query sees the new one whole. */
  setTable(table: NameTable): void {
    this.#table = table;
  }

  /**
   * Handles one message; the reply, now or later, goes to `sink` once.
   * @param request only valid during the call
   * @param port the sender's port
   * @returns false when there will be no reply
   */
  handle<Peer>(request: Buffer, transport: Transport, port: number, peer: Peer, sink: ReplySink<Peer>): boolean {
    const query = this.#query;
    const verdict = parseQuery(request, 0, request.length, query);
    if (verdict === "ignore") return false;
    this.#options.counters.requests.inc();
    if (verdict !== "query") {
      const code = verdict === "malformed" ? responseCode.formatError : responseCode.notImplemented;
      sink.send(encodeFailure(request, 0, query, code), peer);
      return true;
    }
    const { forwarder, cache, beforeTable, answers, log, counters } = this.#options;
    const limit = transport === "tcp" ? MAX_MESSAGE_LENGTH : udpLimit(query, answers.maxUdpBytes);
    const logged = log?.begin(query, transport, port);
    const table = this.#table;
    if (table) {
      let length = this.#encoder.encode(table, query, request, 0, this.#out, 0, limit);
      if (length === NOT_OURS && answers.srv) length = this.#services.encode(table, query, request, this.#out, limit);
      if (length !== NOT_OURS) {
        counters.mesh.inc();
        const reply = Buffer.from(this.#out.subarray(0, length));
        logged?.end("mesh", reply);
        sink.send(reply, peer);
        return true;
      }
    }
    const failure = encodeFailure(request, 0, query, responseCode.serverFailure, answers.edns);
    if ((!table && beforeTable === "servfail") || forwarder.isOwn(port, query.id)) {
      logged?.end(table ? "loop" : "no table", failure);
      sink.send(failure, peer);
      return true;
    }
    const { questionEnd } = query;
    const done = (reply: Buffer | undefined, source: ReplySource): void => {
      const sent = !reply ? failure : reply.length > limit ? truncateReply(reply, limit, questionEnd) : reply;
      logged?.end(source, sent);
      sink.send(sent, peer);
    };
    const whole = request.subarray(0, query.end);
    if (cache) cache.resolve(query, whole, transport, done);
    else forwarder.forward(whole, questionEnd, transport, (reply) => done(reply, reply ? "upstream" : "failed"));
    return true;
  }
}
