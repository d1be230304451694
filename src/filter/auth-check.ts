// The messages of Envoy's service.auth.v3.Authorization, as the HTTP and the network ext_authz filters send and read them.
import type { ConnectionInfo, IpPort } from "../telemetry/stream-info.ts";
import { isHeaderName, isHeaderValue } from "../wire/header-text.ts";
import { readStruct } from "../wire/proto-struct.ts";
import { lastBytes as last, type ProtoField, ProtoWriter, readProto } from "../wire/protobuf.ts";

/** Method of the service. */
export const checkPath = "/envoy.service.auth.v3.Authorization/Check";

/** What is asked about, beside the connection. */
export interface CheckedRequest {
  readonly id: string;
  readonly method: string;
  /** By name; fields of one name joined by commas. Pseudo-headers are among them. */
  readonly headers: ReadonlyMap<string, string>;
  readonly path: string;
  readonly host: string;
  readonly scheme: string;
  /** Bytes of body that came so far. */
  readonly size: number;
  readonly protocol: string;
  readonly body: Buffer | undefined;
  /** The body goes as it is, and not as text. */
  readonly rawBody: boolean;
  /** What the configuration of its route says to the server. */
  readonly contextExtensions: Readonly<Record<string, string>>;
}

/**
 * CheckRequest of a request, or of a bare connection.
 * @param remote the client, where that is not the connection's peer
 */
export function encodeCheckRequest(
  connection: ConnectionInfo,
  wallMs: number,
  request: CheckedRequest | undefined,
  remote: IpPort = connection.remote,
): Buffer {
  const asked = new ProtoWriter().message(1, timestamp(wallMs));
  if (request !== undefined) asked.message(2, httpRequest(request));
  const { tls } = connection;
  const attributes = new ProtoWriter()
    .message(1, peer(remote, tls === undefined ? "" : (tls.uriSans[0] ?? tls.dnsSans[0] ?? tls.subject)))
    .message(2, peer(connection.local, tls === undefined ? "" : tls.localUriSan || (tls.localDnsSans[0] ?? tls.localSubject)))
    .message(4, asked);
  for (const [key, value] of Object.entries(request?.contextExtensions ?? {})) attributes.entry(10, key, value);
  attributes.message(11, new ProtoWriter());
  return new ProtoWriter().message(1, attributes).finish();
}

function peer({ ip, port }: IpPort, principal: string): ProtoWriter {
  const address = new ProtoWriter().message(1, new ProtoWriter().text(2, ip).integer(3, port));
  return new ProtoWriter().message(1, address).text(4, principal);
}

function timestamp(wallMs: number): ProtoWriter {
  return new ProtoWriter().integer(1, Math.floor(wallMs / 1000)).integer(2, Math.floor(wallMs % 1000) * 1_000_000);
}

function httpRequest(request: CheckedRequest): ProtoWriter {
  const message = new ProtoWriter().text(1, request.id).text(2, request.method);
  // Header bytes are latin1 here; a proto text has to be UTF-8, and what is not stays as it reads.
  for (const [name, value] of request.headers) message.entry(3, name, Buffer.from(value, "latin1").toString("utf8"));
  message.text(4, request.path).text(5, request.host).text(6, request.scheme).integer(9, request.size).text(10, request.protocol);
  const { body } = request;
  if (body === undefined || body.length === 0) return message;
  return request.rawBody ? message.bytes(12, body) : message.text(11, body.toString("utf8"));
}

/** A header that an answer asks for. */
export interface AnsweredHeader {
  /** Lower case. */
  readonly name: string;
  /** Latin1. */
  readonly value: string;
  /** Beside what is there, instead of in its place. */
  readonly append: boolean;
}

/** CheckResponse, narrowed. */
export type CheckAnswer =
  | {
      readonly kind: "allowed";
      readonly headers: readonly AnsweredHeader[];
      readonly headersToRemove: readonly string[];
      readonly responseHeaders: readonly AnsweredHeader[];
      readonly metadata: Readonly<Record<string, unknown>> | undefined;
    }
  | {
      readonly kind: "denied";
      readonly status: number;
      readonly headers: readonly AnsweredHeader[];
      /** Latin1. */
      readonly body: string;
      readonly metadata: Readonly<Record<string, unknown>> | undefined;
    };

const defaultDeniedStatus = 403;

/** Reads a CheckResponse; undefined when the bytes are none. */
export function decodeCheckResponse(bytes: Buffer): CheckAnswer | undefined {
  const fields = readProto(bytes);
  const status = readProto(last(fields, 1));
  if (fields === undefined || status === undefined) return undefined;
  const metadata = fields.some(({ field }) => field === 4) ? readStruct(last(fields, 4)) : undefined;
  if ((status.findLast(({ field }) => field === 1)?.value ?? 0) === 0) {
    const ok = readProto(last(fields, 3));
    if (ok === undefined) return undefined;
    return {
      kind: "allowed",
      headers: headersOf(ok, 2),
      headersToRemove: ok.filter(({ field }) => field === 5).map((each) => each.bytes.toString("latin1").toLowerCase()),
      responseHeaders: headersOf(ok, 6, true),
      metadata,
    };
  }
  const denied = readProto(last(fields, 2));
  if (denied === undefined) return undefined;
  const http = readProto(last(denied, 1));
  const code = http?.findLast(({ field }) => field === 1)?.value ?? 0;
  return {
    kind: "denied",
    status: code >= 200 && code <= 599 ? code : defaultDeniedStatus,
    headers: headersOf(denied, 2),
    body: last(denied, 3).toString("latin1"),
    metadata,
  };
}

// Values of HeaderValueOption.append_action under which a field is put beside what is there.
const appendIfExistsOrAdd = 0;

/** HeaderValueOptions; `byAction`: where append is not given, append_action decides. Fields that are none are left out. */
function headersOf(fields: readonly ProtoField[], number: number, byAction = false): readonly AnsweredHeader[] {
  return fields.flatMap(({ field, bytes }) => {
    if (field !== number) return [];
    const option = readProto(bytes);
    const header = readProto(last(option, 1));
    if (option === undefined || header === undefined) return [];
    const raw = last(header, 3);
    const name = last(header, 1).toString("latin1").toLowerCase();
    const value = (raw.length > 0 ? raw : last(header, 2)).toString("latin1");
    if (!isHeaderName(name) || !isHeaderValue(value)) return [];
    const given = option.findLast((each) => each.field === 2);
    const wrapped = given === undefined ? undefined : (readProto(given.bytes)?.findLast((each) => each.field === 1)?.value ?? 0) !== 0;
    const action = option.findLast((each) => each.field === 3)?.value ?? appendIfExistsOrAdd;
    return [{ name, value, append: wrapped ?? (byAction && action === appendIfExistsOrAdd) }];
  });
}
