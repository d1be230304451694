// Puts header blocks together that come in HEADERS and CONTINUATION frames, within bounds.

// Many tiny CONTINUATION frames cost their reader more than their sender (CVE-2024-27316 and its like).
const mostTinyFrames = 16;
const tinyFrameBytes = 512;
// A compressed block may be this much longer than what is accepted of it, to be read for the table's sake and refused.
const slackBytes = 128 * 1024;

/** The block under way of one connection. */
export class HeaderBlocks {
  readonly #maxBytes: number;
  /** 0 = none is under way. */
  stream = 0;
  flags = 0;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #tiny = 0;

  /** @param maxBytes of a decoded head */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes + slackBytes;
  }

  /** HEADERS without END_HEADERS came. */
  begin(stream: number, flags: number, piece: Buffer): void {
    this.stream = stream;
    this.flags = flags;
    this.#pieces = [Buffer.from(piece)];
    this.#bytes = piece.length;
    this.#tiny = 0;
  }

  /** CONTINUATION came; false: there is too much of it. */
  add(piece: Buffer): boolean {
    this.#pieces.push(Buffer.from(piece));
    this.#bytes += piece.length;
    if (piece.length < tinyFrameBytes) this.#tiny++;
    return this.#bytes <= this.#maxBytes && this.#tiny <= mostTinyFrames;
  }

  /** The whole block; none is under way after this. */
  take(): Buffer {
    const block = Buffer.concat(this.#pieces);
    this.stream = 0;
    this.#pieces = [];
    return block;
  }
}
