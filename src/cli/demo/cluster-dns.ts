// A stand-in for the cluster's own DNS server: knows the services of one cluster and says NXDOMAIN to everything else.
import { createSocket } from "node:dgram";
import type { Socket } from "node:dgram";
import { once } from "node:events";
import { encodeAddress } from "../../dns/address-bytes.ts";
import { encodeFailure, encodeName, flag, parseQuery, Query, recordType, replyFlags, writeUint16 } from "../../dns/codec.ts";

const nameError = 3;

/** Seconds that an answer may be kept; Kubernetes' default for its own names. */
const ttlSeconds = 5;

/** A running server. */
export interface ClusterDns {
  readonly port: number;
  /** Questions taken so far. */
  readonly questions: number;
  close(): void;
}

/** Serves `hosts` (name to IPv4 address) on UDP at `port` of `address`; 0, the default, is a free one. */
export async function startClusterDns(address: string, hosts: ReadonlyMap<string, string>, port = 0): Promise<ClusterDns> {
  const records = new Map([...hosts].map(([host, ip]) => [encodeName(host)?.toString("latin1") ?? "", encodeAddress(ip)]));
  const socket: Socket = createSocket("udp4");
  let questions = 0;
  socket.on("error", () => undefined); // an answer that cannot be delivered is the client's timeout
  socket.on("message", (message, from) => {
    const query = new Query();
    if (parseQuery(message, 0, message.length, query) !== "query") return;
    questions++;
    const key = Buffer.from(query.name.subarray(0, query.nameLength)).toString("latin1");
    const ip = query.type === recordType.a ? records.get(key) : undefined;
    const known = records.has(key);
    socket.send(ip ? encodeAnswer(message, query, ip) : encodeFailure(message, 0, query, known ? 0 : nameError), from.port, from.address);
  });
  // The demo ends when it ends; a name server is no reason to go on.
  socket.unref();
  socket.bind(port, address);
  await once(socket, "listening");
  return {
    port: socket.address().port,
    get questions() {
      return questions;
    },
    close: () => socket.close(),
  };
}

function encodeAnswer(request: Buffer, query: Query, ip: Buffer): Buffer {
  const header = Buffer.alloc(12);
  writeUint16(header, 0, query.id);
  writeUint16(header, 2, replyFlags(query, flag.authoritative));
  writeUint16(header, 4, 1);
  writeUint16(header, 6, 1);
  const record = Buffer.from([0xc0, 12, 0, recordType.a, 0, 1, 0, 0, 0, ttlSeconds, 0, ip.length]);
  return Buffer.concat([header, request.subarray(12, query.questionEnd), record, ip]);
}
