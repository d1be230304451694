// Protocol Buffers' wire format, as much as small messages need: varints, length-delimited fields, skipping what is unknown.

const varintType = 0;
const fixed64Type = 1;
const lengthType = 2;
const fixed32Type = 5;

/** Builds one message. Fields with their default value are left out by whoever writes them. */
export class ProtoWriter {
  readonly #parts: Buffer[] = [];

  /** The message's bytes. */
  finish(): Buffer {
    return Buffer.concat(this.#parts);
  }

  /** A field of an integer type; negative numbers are those of int32 and int64. */
  integer(field: number, value: number): this {
    if (value !== 0) this.#parts.push(varint((field << 3) | varintType), varint(value));
    return this;
  }

  text(field: number, value: string): this {
    return value === "" ? this : this.bytes(field, Buffer.from(value, "utf8"));
  }

  bytes(field: number, value: Uint8Array): this {
    this.#parts.push(varint((field << 3) | lengthType), varint(value.length), Buffer.from(value));
    return this;
  }

  /** A nested message; an empty one is written too, because its presence can mean something. */
  message(field: number, value: ProtoWriter): this {
    return this.bytes(field, value.finish());
  }

  /** One entry of a map of texts. */
  entry(field: number, key: string, value: string): this {
    return this.message(field, new ProtoWriter().text(1, key).text(2, value));
  }
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest === 0n ? low : low | 0x80);
  } while (rest !== 0n);
  return Buffer.from(bytes);
}

/** One field as it was read: `value` of varints, `bytes` of everything that has a length. */
export interface ProtoField {
  readonly field: number;
  readonly value: number;
  readonly bytes: Buffer;
}

const noBytes = Buffer.alloc(0);
// Seven bits a byte, 64 bits at most.
const maxVarintBytes = 10;

/** The fields of a message in order, or undefined when the bytes are no message. Fixed-size fields have their bytes. */
export function readProto(bytes: Buffer): readonly ProtoField[] | undefined {
  const fields: ProtoField[] = [];
  let at = 0;
  const next = (): number | undefined => {
    let value = 0n;
    for (let i = 0; i < maxVarintBytes && at < bytes.length; i++) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 0x7f) << BigInt(7 * i);
      // int32 and int64 are written as 64 bits; no number here is beyond 2^53.
      if ((byte & 0x80) === 0) return Number(BigInt.asIntN(64, value));
    }
    return undefined;
  };
  while (at < bytes.length) {
    const tag = next();
    if (tag === undefined || tag < 8) return undefined;
    const field = Math.floor(tag / 8);
    const type = tag % 8;
    if (type === varintType) {
      const value = next();
      if (value === undefined) return undefined;
      fields.push({ field, value, bytes: noBytes });
      continue;
    }
    const length = type === lengthType ? next() : type === fixed64Type ? 8 : type === fixed32Type ? 4 : undefined;
    if (length === undefined || length < 0 || at + length > bytes.length) return undefined;
    fields.push({ field, value: 0, bytes: bytes.subarray(at, at + length) });
    at += length;
  }
  return fields;
}

/** The bytes of a field as it stands last, which is the one that counts; none when it is absent. */
export function lastBytes(fields: readonly ProtoField[] | undefined, field: number): Buffer {
  return fields?.findLast((each) => each.field === field)?.bytes ?? noBytes;
}

/** As `lastBytes`, for a varint; 0 when it is absent. */
export function lastInteger(fields: readonly ProtoField[] | undefined, field: number): number {
  return fields?.findLast((each) => each.field === field)?.value ?? 0;
}
