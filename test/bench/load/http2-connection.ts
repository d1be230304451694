// Both ends of the bench's HTTP/2, as little as can be: frames are cut and counted, header blocks are prebuilt, and windows are so
// large that nobody waits for one.
import type { Socket } from "node:net";
import { HpackDecoder } from "../../../src/wire/hpack/decoder.ts";
import { defaultMaxFrameBytes, frameFlag, frameType } from "../../../src/wire/http2/frame.ts";
import { FrameReader, type FrameSink } from "../../../src/wire/http2/frame-reader.ts";
import type { Http2Traffic } from "../benchmark.ts";
import { exchanges, frame, MessageWriter, opening, windowUpdate } from "./http2-payload.ts";

/** Answers whose every field and byte a client looks at, on each connection; after them only their ends. */
const checkedAnswers = 100;
/** Bytes received after which their window is given back. */
const creditBytes = 2 ** 29;

/** What both ends do with frames that are nobody's message. */
abstract class Http2End implements FrameSink {
  protected readonly socket: Socket;
  readonly #reader: FrameReader;
  #received = 0;
  #out: Buffer[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    this.#reader = new FrameReader(this, defaultMaxFrameBytes);
  }

  protected read(chunk: Buffer, start: number): void {
    this.#reader.read(chunk, start);
    this.flush();
  }

  /** Keeps bytes to be written with others; they may be used again after this. */
  protected send(bytes: Buffer): void {
    this.#out.push(Buffer.from(bytes));
  }

  protected flush(): void {
    if (this.#out.length === 0) return;
    this.socket.write(this.#out.length === 1 ? this.#out[0]! : Buffer.concat(this.#out));
    this.#out = [];
  }

  protected abstract onMessageFrame(type: number, flags: number, id: number, payload: Buffer): void;
  protected abstract onReset(): void;
  protected abstract onTrouble(what: string): void;

  onOversizedFrame(): void {
    this.onTrouble("a frame that is too large");
  }

  onFrame(type: number, flags: number, id: number, buffer: Buffer, start: number, end: number): boolean {
    if (type === frameType.data) {
      this.#received += end - start;
      if (this.#received >= creditBytes) {
        this.send(windowUpdate(this.#received));
        this.#received = 0;
      }
    }
    if (type === frameType.data || type === frameType.headers) this.onMessageFrame(type, flags, id, buffer.subarray(start, end));
    else if (type === frameType.settings && (flags & frameFlag.ack) === 0) this.send(frame(frameType.settings, frameFlag.ack, 0, noBytes));
    else if (type === frameType.ping && (flags & frameFlag.ack) === 0)
      this.send(frame(frameType.ping, frameFlag.ack, 0, buffer.subarray(start, end)));
    else if (type === frameType.rstStream) this.onReset();
    else if (type === frameType.goaway || type === frameType.continuation) this.onTrouble(`a frame of type ${type}`);
    return true;
  }
}

const noBytes = new Uint8Array();

/** What a client tells of its answers. */
export interface Answers {
  answered(): void;
  failed(reason: string): void;
}

/** A client connection that keeps a number of requests under way. */
export class Http2LoadConnection extends Http2End {
  readonly #answers: Answers;
  readonly #requests: MessageWriter;
  readonly #expected: { readonly fields: string; readonly body: Buffer };
  readonly #decoder = new HpackDecoder(4096);
  readonly #open = new Map<number, { fields: string; body: Buffer }>();
  #nextStream = 1;
  #left = checkedAnswers;
  /** Bytes of bodies that came beyond those of the answers that are complete. */
  #ahead = 0;

  constructor(socket: Socket, traffic: Http2Traffic, streams: number, answers: Answers) {
    super(socket);
    const { request, requestBody, response, trailers, responseBody } = exchanges[traffic];
    this.#answers = answers;
    this.#requests = new MessageWriter(request, requestBody, undefined);
    this.#expected = { fields: [...response, ...(trailers ?? [])].map(String).join(" "), body: responseBody };
    socket.on("data", (chunk: Buffer) => this.read(chunk, 0));
    socket.on("connect", () => {
      this.send(opening("client"));
      for (let i = 0; i < streams; i++) this.#request();
      this.flush();
    });
  }

  #request(): void {
    if (this.#left > 0) this.#open.set(this.#nextStream, { fields: "", body: Buffer.alloc(0) });
    this.send(this.#requests.next(this.#nextStream));
    this.#nextStream += 2;
  }

  protected onMessageFrame(type: number, flags: number, id: number, payload: Buffer): void {
    if (this.#left > 0) this.#look(type, id, payload);
    const { body } = this.#expected;
    if (type === frameType.data) this.#ahead += payload.length;
    if ((flags & frameFlag.endStream) === 0) return;
    if (this.#left > 0) this.#check(id);
    // An answer of the proxy's own has another length.
    this.#ahead -= body.length;
    if (this.#ahead < 0) this.onTrouble("an answer that is too short");
    this.#answers.answered();
    this.#request();
  }

  #look(type: number, id: number, payload: Buffer): void {
    const seen = this.#open.get(id) ?? { fields: "", body: Buffer.alloc(0) };
    this.#open.set(id, seen);
    if (type === frameType.data) seen.body = Buffer.concat([seen.body, payload]);
    else {
      const sink = { onField: ({ name, value }: { name: string; value: string }) => void (seen.fields += `${name},${value} `) };
      if (!this.#decoder.decode(payload, 0, payload.length, sink)) this.onTrouble("a broken header block");
    }
  }

  // The proxy adds fields of its own between those of the upstream.
  #check(id: number): void {
    const seen = this.#open.get(id);
    this.#open.delete(id);
    this.#left--;
    const missing = this.#expected.fields.split(" ").filter((field) => !(seen?.fields.includes(field) ?? false));
    if (missing.length > 0 || seen?.body.equals(this.#expected.body) !== true)
      this.onTrouble(`a wrong answer: ${JSON.stringify(seen?.fields)} ${JSON.stringify(seen?.body.toString("latin1").slice(0, 200))}`);
  }

  protected onReset(): void {
    this.onTrouble("a request was reset");
  }

  protected onTrouble(what: string): void {
    this.#answers.failed(`HTTP/2: ${what}`);
  }
}

/** An upstream connection: the same answer to each request. */
export class Http2AnswerConnection extends Http2End {
  readonly #messages: MessageWriter;
  #prefaceLeft = 24;

  constructor(socket: Socket, traffic: Http2Traffic) {
    super(socket);
    const { response, responseBody, trailers } = exchanges[traffic];
    this.#messages = new MessageWriter(response, responseBody, trailers);
    socket.write(opening("server"));
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      const skipped = Math.min(this.#prefaceLeft, chunk.length);
      this.#prefaceLeft -= skipped;
      this.read(chunk, skipped);
    });
  }

  protected onMessageFrame(_type: number, flags: number, id: number): void {
    if ((flags & frameFlag.endStream) !== 0) this.send(this.#messages.next(id));
  }

  protected onReset(): void {
    // A client that ended its round left requests behind.
  }

  protected onTrouble(): void {
    this.socket.destroy();
  }
}
