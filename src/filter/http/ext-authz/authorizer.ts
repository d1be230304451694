// Asks an authorization server about one request, over HTTP or gRPC; the filter hears one answer.
import type {
  ExtAuthzConfig,
  GrpcAuthorizationService,
  HeaderNames,
  HttpAuthorizationService,
} from "../../../envoy/http-filter/ext-authz.ts";
import type { HttpFilterContext } from "../../../http/filter.ts";
import type { HttpStream } from "../../../http/stream.ts";
import { compileStringMatcher } from "../../../match/string-matcher.ts";
import { type Call, type CallResult, failedCall } from "../../../upstream/call/call.ts";
import { callGrpc } from "../../../upstream/call/grpc-call.ts";
import { callHttp1 } from "../../../upstream/call/http1-call.ts";
import { HeaderMap } from "../../../wire/header-map.ts";
import { type AnsweredHeader, type CheckAnswer, checkPath, decodeCheckResponse, encodeCheckRequest } from "../../auth-check.ts";
import { isHeaderName, isHeaderValue } from "../../../wire/header-text.ts";

/** What the server said, or that it said nothing. */
export type Answer = CheckAnswer | { readonly kind: "error"; readonly reason: string; readonly timedOut: boolean };

/** The part of a request's body that is shown. */
export interface ShownBody {
  readonly bytes: Buffer;
  readonly partial: boolean;
  /** It goes as it is, and not as text. */
  readonly raw: boolean;
}

/** What the server is shown beside the request's head. */
export interface Shown {
  readonly body: ShownBody | undefined;
  readonly contextExtensions: Readonly<Record<string, string>>;
}

/** Asks; `onAnswer` is called once, possibly before it returns. Undefined when the answer came at once. */
export type Authorizer = (stream: HttpStream, shown: Shown, onAnswer: (answer: Answer) => void) => Call;

type NameTest = (name: string) => boolean;

/** Compiles the service of a filter. */
export function compileAuthorizer(config: ExtAuthzConfig, context: HttpFilterContext): Authorizer {
  const { service } = config;
  return service.kind === "http" ? httpAuthorizer(config, service, context) : grpcAuthorizer(config, service, context);
}

const noCall: Call = { cancel: () => undefined };

function anyName(names: HeaderNames): NameTest {
  const tests = names.map(compileStringMatcher);
  return (name) => tests.some((test) => test(name));
}

// --- HTTP ----------------------------------------------------------------------------------------------------------------

const serverError = 500;

function httpAuthorizer(config: ExtAuthzConfig, service: HttpAuthorizationService, context: HttpFilterContext): Authorizer {
  const asked = anyName(config.allowedHeaders);
  const hidden = anyName(config.disallowedHeaders);
  // What every server is shown, whatever the lists say.
  const shown: NameTest = (name) => (name === "authorization" || asked(name)) && !hidden(name) && !framing.has(name);
  const upstream = anyName(service.upstreamHeaders);
  const appended = anyName(service.upstreamHeadersToAppend);
  const onSuccess = anyName(service.clientHeadersOnSuccess);
  const listed = anyName(service.clientHeaders);
  const toClient: NameTest =
    service.clientHeaders.length === 0 ? () => true : (name) => name === "www-authenticate" || name === "location" || listed(name);
  const read = (result: CallResult): Answer => {
    if (result.kind === "failed") return { kind: "error", reason: result.reason, timedOut: result.timedOut };
    const { status, headers, body } = result;
    if (status >= serverError) return { kind: "error", reason: `the authorization server answered ${status}`, timedOut: false };
    if (status !== 200)
      return { kind: "denied", status, headers: pick(headers, toClient), body: body.toString("latin1"), metadata: undefined };
    return {
      kind: "allowed",
      headers: [...pick(headers, upstream), ...pick(headers, appended, true)],
      headersToRemove: namesIn(headers.getAll("x-envoy-auth-headers-to-remove")),
      responseHeaders: pick(headers, onSuccess, true),
      metadata: undefined,
    };
  };
  return (stream, { body }, onAnswer) => {
    const onDone = (result: CallResult): void => onAnswer(read(result));
    const cluster = context.clusters.get(service.cluster);
    if (cluster === undefined) return (onDone(failedCall(`cluster ${service.cluster} does not exist`)), noCall);
    const headers = new HeaderMap();
    const { names, values } = stream.headers;
    for (let i = 0; i < names.length; i++) if (shown(names[i]!)) headers.add(names[i]!, values[i]!);
    for (const { name, value } of service.headersToAdd) headers.set(name, value);
    if (body !== undefined) headers.set("x-envoy-auth-partial-body", String(body.partial));
    const request = {
      method: stream.method,
      path: service.pathPrefix + stream.path,
      authority: stream.authority,
      headers,
      body: body?.bytes ?? noBytes,
    };
    return callHttp1(cluster, request, { clock: context.clock, timeoutMs: service.timeoutMs, onDone });
  };
}

const noBytes = Buffer.alloc(0);
// These describe the exchange with the client, and the question is one of its own.
const framing: ReadonlySet<string> = new Set(["content-length", "transfer-encoding", "connection", "expect", "upgrade", "te", "host"]);

function pick(from: HeaderMap, wanted: NameTest, append = false): readonly AnsweredHeader[] {
  return from.names.flatMap((name, i) => {
    const value = from.values[i]!;
    return isHeaderName(name) && !framing.has(name) && isHeaderValue(value) && wanted(name) ? [{ name, value, append }] : [];
  });
}

const namesIn = (list: string | undefined): readonly string[] =>
  (list ?? "")
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "");

// --- gRPC ----------------------------------------------------------------------------------------------------------------

function grpcAuthorizer(config: ExtAuthzConfig, service: GrpcAuthorizationService, context: HttpFilterContext): Authorizer {
  const asked = config.allowedHeaders.length === 0 ? () => true : anyName(config.allowedHeaders);
  const hidden = anyName(config.disallowedHeaders);
  const shown: NameTest = (name) => asked(name) && !hidden(name);
  const read = (result: CallResult): Answer => {
    if (result.kind === "failed") return { kind: "error", reason: result.reason, timedOut: result.timedOut };
    return decodeCheckResponse(result.body) ?? { kind: "error", reason: "the answer is no CheckResponse", timedOut: false };
  };
  let asking = 0;
  return (stream, { body, contextExtensions }, onAnswer) => {
    const onDone = (result: CallResult): void => onAnswer(read(result));
    const cluster = context.clusters.get(service.cluster);
    if (cluster === undefined) return (onDone(failedCall(`cluster ${service.cluster} does not exist`)), noCall);
    asking++;
    const { info } = stream;
    const message = encodeCheckRequest(
      info.connection,
      context.clock.wallMs(),
      {
        id: String(asking),
        method: stream.method,
        headers: headersOf(stream, shown, body),
        path: stream.path,
        host: stream.authority,
        scheme: stream.scheme,
        size: info.bytesReceived,
        protocol: info.protocol,
        body: body?.bytes,
        rawBody: body?.raw ?? false,
        contextExtensions,
      },
      info.remote,
    );
    const request = { authority: service.authority, path: checkPath, message };
    return callGrpc(cluster, request, { clock: context.clock, timeoutMs: service.timeoutMs, onDone });
  };
}

function headersOf(stream: HttpStream, shown: NameTest, body: ShownBody | undefined): ReadonlyMap<string, string> {
  const out = new Map<string, string>();
  const add = (name: string, value: string): void => {
    if (!shown(name)) return;
    const known = out.get(name);
    out.set(name, known === undefined ? value : `${known},${value}`);
  };
  add(":authority", stream.authority);
  add(":path", stream.path);
  add(":method", stream.method);
  add(":scheme", stream.scheme);
  const { names, values } = stream.headers;
  for (let i = 0; i < names.length; i++) add(names[i]!, values[i]!);
  if (body !== undefined) out.set("x-envoy-auth-partial-body", String(body.partial));
  return out;
}
