// DNS messages for tests, made and read with dns-packet: an opinion independent of our own codec.
import { readFileSync } from "node:fs";
import { decode, encode, RECURSION_DESIRED, type Answer, type Packet, type RecordType } from "dns-packet";
import type { NameTableJson, NameTableOptions } from "../../../src/dns/name-table.ts";

/** One recorded question with the reply of Istio's agent; `forwarded`: it asked upstream. */
export interface RecordedCase {
  readonly name: string;
  readonly type: RecordType;
  readonly transport?: "tcp";
  readonly edns?: number;
  readonly forwarded?: boolean;
  /** Bytes of the whole reply. */
  readonly size?: number;
  readonly truncated?: boolean;
  /** Number of records, where the order decides which they are. */
  readonly records?: number;
  /** Records, sorted. */
  readonly answers?: readonly string[];
}

/** A name table with the point of view it is compiled for and what is asked of it. */
export interface Recording {
  readonly options: NameTableOptions;
  readonly nameTable: NameTableJson;
  readonly cases: readonly RecordedCase[];
}

export function readRecording(name: "agent" | "mesh"): Recording {
  return JSON.parse(readFileSync(new URL(`./fixtures/${name}.json`, import.meta.url), "utf8")) as Recording;
}

export function encodeQuestion(name: string, type: RecordType, options: { id?: number; edns?: number; flags?: number } = {}): Buffer {
  const packet: Packet = {
    type: "query",
    id: options.id ?? 0x1234,
    flags: options.flags ?? RECURSION_DESIRED,
    questions: [{ name: name || ".", type, class: "IN" }],
  };
  if (options.edns !== undefined) {
    packet.additionals = [
      { type: "OPT", name: ".", udpPayloadSize: options.edns, extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] },
    ];
  }
  return encode(packet);
}

export interface ReadReply {
  readonly id: number;
  readonly rcode: string;
  readonly authoritative: boolean;
  readonly truncated: boolean;
  readonly recursionAvailable: boolean;
  readonly question: string | undefined;
  readonly ttls: readonly number[];
  readonly additionals: number;
  /** In the order of the reply. */
  readonly answers: readonly string[];
}

export function readReply(reply: Buffer): ReadReply {
  const packet = decode(reply) as ReturnType<typeof decode> & { rcode: string };
  const answers = packet.answers ?? [];
  return {
    id: packet.id ?? -1,
    rcode: packet.rcode,
    authoritative: packet.flag_aa,
    truncated: packet.flag_tc,
    recursionAvailable: packet.flag_ra,
    question: packet.questions?.[0] && `${packet.questions[0].name} ${packet.questions[0].type}`,
    ttls: answers.map((answer) => ("ttl" in answer ? Number(answer.ttl) : -1)),
    additionals: packet.additionals?.length ?? 0,
    answers: answers.map(formatAnswer),
  };
}

function formatAnswer(answer: Answer): string {
  const data = "data" in answer && typeof answer.data === "string" ? answer.data : "";
  return `${answer.name}. ${answer.type} ${data}${answer.type === "CNAME" ? "." : ""}`;
}

/** A seeded generator of numbers in [0, 1): the same sequence in every run. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >>> 0) / 0x100000000;
  };
}
