// The batching thread: blocks in recvmmsg, answers known names from the table, sends all replies in one call, and hands
// everything else to the main thread. Runs in a worker; its event loop never turns while it serves.
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { AnswerEncoder, NOT_OURS, TOO_LARGE } from "../answer.ts";
import { Query, encodeFailure, parseQuery, responseCode, udpLimit } from "../codec.ts";
import type { NameTable } from "../name-table.ts";
import { MSG_DONTWAIT, MSG_WAITFORONE, loadLibc, type Libc } from "./libc.ts";
import { control, type BatchThreadData, type HandedMessage, type ThreadReport } from "./messages.ts";
import { BATCH, Slab } from "./slab.ts";

/** Messages the main thread may be behind by; beyond, queries get SERVFAIL here, so that a flood of misses takes no memory. */
const MAX_HANDED_OVER = 1024;
/** Failed receives in a row (other than timeouts) after which the socket is taken for broken. */
const MAX_FAILURES = 100;

const report = (message: ThreadReport): void => parentPort?.postMessage(message);

class Batcher {
  readonly #libc: Libc;
  readonly #data: BatchThreadData;
  readonly #slab: Slab;
  readonly #query = new Query();
  readonly #encoder: AnswerEncoder;
  #generation = -1;
  #table: NameTable | undefined;

  constructor(libc: Libc, data: BatchThreadData) {
    this.#libc = libc;
    this.#data = data;
    this.#slab = new Slab(libc);
    this.#encoder = new AnswerEncoder(Math.random, data.answers);
  }

  serve(): void {
    const { fd, control: words } = this.#data;
    let failures = 0;
    let used = BATCH;
    while (Atomics.load(words, control.closing) === 0) {
      this.#slab.rearm(used);
      const count = this.#libc.recvmmsg(fd, this.#slab.receiveHeaders, BATCH, MSG_WAITFORONE, null);
      used = Math.max(count, 0);
      if (count > 0) {
        failures = 0;
        this.#takeTable();
        this.#answer(count);
        continue;
      }
      const reason = this.#libc.errorName();
      if (count < 0 && reason !== "EAGAIN" && reason !== "EINTR" && ++failures > MAX_FAILURES) throw new Error(`recvmmsg: ${reason}`);
    }
    this.#slab.free();
  }

  /** Read behind the receive: a query that was sent after a table was published never sees the one before. */
  #takeTable(): void {
    const generation = Atomics.load(this.#data.control, control.generation);
    if (generation === this.#generation) return;
    this.#generation = generation;
    for (let next = receiveMessageOnPort(this.#data.tables); next; next = receiveMessageOnPort(this.#data.tables)) {
      this.#table = next.message as NameTable;
    }
  }

  #answer(count: number): void {
    const slab = this.#slab;
    const words = this.#data.control;
    let replies = 0;
    let answered = 0;
    let refused = 0;
    const logging = Atomics.load(words, control.logging) === 1;
    let handed: HandedMessage[] | undefined;
    for (let i = 0; i < count; i++) {
      const length = slab.length(i);
      if (length < 0) continue;
      const request = slab.received[i]!;
      const verdict = parseQuery(request, 0, length, this.#query);
      if (verdict === "ignore") continue;
      const room = Atomics.load(words, control.handedOver) < MAX_HANDED_OVER;
      if (verdict === "query" && this.#table && !(logging && room)) {
        const out = slab.replies[replies]!;
        const written = this.#encoder.encode(
          this.#table,
          this.#query,
          request,
          0,
          out,
          0,
          udpLimit(this.#query, this.#data.answers.maxUdpBytes),
        );
        if (written !== NOT_OURS && written !== TOO_LARGE) {
          slab.address(replies++, i, written);
          answered++;
          continue;
        }
      }
      if (room) {
        Atomics.add(words, control.handedOver, 1);
        (handed ??= []).push({ request: request.slice(0, length), peer: slab.peer(i) });
      } else {
        const failure = encodeFailure(request, 0, this.#query, responseCode.serverFailure, this.#data.answers.edns);
        slab.replies[replies]!.set(failure);
        slab.address(replies++, i, failure.length);
        refused++;
      }
    }
    if (answered > 0) Atomics.add(words, control.answered, answered);
    if (refused > 0) Atomics.add(words, control.refused, refused);
    this.#send(replies);
    if (handed) report(handed);
  }

  #send(count: number): void {
    let sent = 0;
    while (sent < count) {
      const more = this.#libc.sendmmsg(this.#data.fd, this.#slab.sendHeaders(sent), count - sent, MSG_DONTWAIT);
      // The call fails for the first message only: that one is lost, the others go out.
      sent += more > 0 ? more : 1;
    }
  }
}

const loaded = await loadLibc();
if ("libc" in loaded) {
  const batcher = new Batcher(loaded.libc, workerData as BatchThreadData);
  report("ready");
  batcher.serve();
} else {
  report("unavailable");
}
