// The memory of one batch: `struct mmsghdr`, `struct iovec`, addresses and payloads of both directions, laid out once at fixed
// addresses for the 64-bit little-endian Linux ABI.
import type { FixedMemory, Libc } from "./libc.ts";

/** Messages a system call: at 64 the cost of the call is spread thin, and the slab is half a megabyte. */
export const BATCH = 64;
/** Bytes a message: more than any query, and than any reply that is not worth the main thread's attention. */
const SLOT_BYTES = 4096;

const HEADER_BYTES = 64;
const IOVEC_BYTES = 16;
/** Room for `sockaddr_in6` (28), rounded up. */
const ADDRESS_BYTES = 32;

/** Positions in a header, counted in 32-bit words. */
const word = { nameLength: 2, flags: 12, length: 14, stride: HEADER_BYTES / 4 } as const;
const MSG_TRUNC = 0x20;

/** Received and outgoing messages of one batch. */
export class Slab {
  readonly receiveHeaders: bigint;
  /** Payload of each received message. */
  readonly received: readonly Uint8Array[];
  /** Room for each reply. */
  readonly replies: readonly Uint8Array[];
  readonly #memory: FixedMemory;
  readonly #peers: readonly Uint8Array[];
  readonly #receiveWords: Uint32Array;
  readonly #sendWords: Uint32Array;
  readonly #sendVectors: Uint32Array;
  readonly #sendHeaders: bigint;
  readonly #sendView: DataView;
  readonly #peerAddresses: readonly bigint[];

  constructor(libc: Libc) {
    const headerBytes = BATCH * HEADER_BYTES;
    const offsets = { receive: 0, send: headerBytes, receiveVectors: 2 * headerBytes, sendVectors: 0, peers: 0, received: 0, replies: 0 };
    offsets.sendVectors = offsets.receiveVectors + BATCH * IOVEC_BYTES;
    offsets.peers = offsets.sendVectors + BATCH * IOVEC_BYTES;
    offsets.received = offsets.peers + BATCH * ADDRESS_BYTES;
    offsets.replies = offsets.received + BATCH * SLOT_BYTES;
    const memory = libc.allocate(offsets.replies + BATCH * SLOT_BYTES);
    const { buffer, address } = memory;
    new Uint8Array(buffer).fill(0);
    const view = new DataView(buffer);
    const at = (offset: number): bigint => address + BigInt(offset);
    for (let i = 0; i < BATCH; i++) {
      const peer = offsets.peers + i * ADDRESS_BYTES;
      const pairs = [
        [offsets.receive, offsets.receiveVectors, offsets.received],
        [offsets.send, offsets.sendVectors, offsets.replies],
      ] as const;
      for (const [headers, vectors, payloads] of pairs) {
        const header = headers + i * HEADER_BYTES;
        const vector = vectors + i * IOVEC_BYTES;
        view.setBigUint64(header, at(peer), true);
        view.setBigUint64(header + 16, at(vector), true);
        view.setBigUint64(header + 24, 1n, true);
        view.setBigUint64(vector, at(payloads + i * SLOT_BYTES), true);
        view.setBigUint64(vector + 8, BigInt(SLOT_BYTES), true);
      }
    }
    const slots = (offset: number, bytes: number): Uint8Array[] =>
      Array.from({ length: BATCH }, (_, i) => new Uint8Array(buffer, offset + i * bytes, bytes));
    this.#memory = memory;
    this.#peers = slots(offsets.peers, ADDRESS_BYTES);
    this.#peerAddresses = this.#peers.map((peer) => at(peer.byteOffset));
    this.received = slots(offsets.received, SLOT_BYTES);
    this.replies = slots(offsets.replies, SLOT_BYTES);
    this.receiveHeaders = at(offsets.receive);
    this.#sendHeaders = at(offsets.send);
    this.#receiveWords = new Uint32Array(buffer, offsets.receive, headerBytes / 4);
    this.#sendWords = new Uint32Array(buffer, offsets.send, headerBytes / 4);
    this.#sendVectors = new Uint32Array(buffer, offsets.sendVectors, (BATCH * IOVEC_BYTES) / 4);
    this.#sendView = new DataView(buffer, offsets.send, headerBytes);
  }

  /** Makes `count` headers ready to receive again; the kernel has overwritten the address lengths. */
  rearm(count: number): void {
    for (let i = 0; i < count; i++) this.#receiveWords[i * word.stride + word.nameLength] = ADDRESS_BYTES;
  }

  /** Length of received message `i`, -1 when it did not fit its slot. */
  length(i: number): number {
    const base = i * word.stride;
    return this.#receiveWords[base + word.flags]! & MSG_TRUNC ? -1 : this.#receiveWords[base + word.length]!;
  }

  /** A copy of the address of the sender of message `i`. */
  peer(i: number): Uint8Array {
    return this.#peers[i]!.slice(0, this.#receiveWords[i * word.stride + word.nameLength]);
  }

  /** Addresses reply `slot`, `length` bytes long, to the sender of message `i`. */
  address(slot: number, i: number, length: number): void {
    const base = slot * word.stride;
    this.#sendView.setBigUint64(base * 4, this.#peerAddresses[i]!, true);
    this.#sendWords[base + word.nameLength] = this.#receiveWords[i * word.stride + word.nameLength]!;
    this.#sendVectors[slot * 4 + 2] = length;
  }

  /** Address in memory of the outgoing headers from `slot` on. */
  sendHeaders(slot: number): bigint {
    return slot === 0 ? this.#sendHeaders : this.#sendHeaders + BigInt(slot * HEADER_BYTES);
  }

  /** Gives the memory back; nothing may use the slab afterwards. */
  free(): void {
    this.#memory.free();
  }
}
