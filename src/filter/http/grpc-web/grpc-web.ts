// envoy.filters.http.grpc_web: browsers' gRPC-Web to gRPC and back. An upstream answer that is no gRPC becomes a status with the answer as
// its message.
import type { FilterStatus, HttpFilter, HttpFilterSpec } from "../../../http/filter.ts";
import { encodeGrpcMessage, isGrpc } from "../../../http/grpc.ts";
import { grpcStatusOf } from "../../../wire/grpc-status.ts";
import type { HttpStream } from "../../../http/stream.ts";
import { Base64Reader, encodeTrailersFrame, FrameTextWriter } from "../../../wire/grpc-web.ts";
import type { HeaderMap } from "../../../wire/header-map.ts";

/** The gRPC-Web filter. */
export const grpcWeb: HttpFilterSpec = {
  extension: "envoy.filters.http.grpc_web",
  create: () => filter,
};

/** A stream that is gRPC-Web. */
interface WebCall {
  /** Reads requests in base64. */
  readonly reader: Base64Reader | undefined;
  /** Writes responses in base64. */
  readonly writer: FrameTextWriter | undefined;
  /** The answer is no gRPC, so its trailers stay what they are. */
  foreign: boolean;
}

const text: ReadonlySet<string> = new Set(["application/grpc-web-text", "application/grpc-web-text+proto"]);
const binary: ReadonlySet<string> = new Set(["application/grpc-web", "application/grpc-web+proto"]);
const noBytes = Buffer.alloc(0);

const stateOf = (stream: HttpStream, index: number): WebCall | undefined => stream.filterState?.[index] as WebCall | undefined;

const filter: HttpFilter = {
  onRequestHeaders(stream, _endStream, index) {
    const { headers } = stream;
    const type = headers.get("content-type");
    if (type === undefined || !(text.has(type) || binary.has(type))) return "continue";
    const state: WebCall = {
      reader: text.has(type) ? new Base64Reader() : undefined,
      writer: text.has(headers.get("accept") ?? "") ? new FrameTextWriter() : undefined,
      foreign: false,
    };
    (stream.filterState ??= [])[index] = state;
    // It was no gRPC when it came.
    stream.grpcReplies = false;
    headers.remove("content-length");
    headers.set("content-type", "application/grpc");
    headers.set("te", "trailers");
    if (!headers.has("grpc-accept-encoding")) headers.add("grpc-accept-encoding", "identity");
    return "continue";
  },

  onRequestData(stream, data, endStream, index) {
    const reader = stateOf(stream, index)?.reader;
    if (reader === undefined) return data;
    const bytes = reader.push(data, endStream);
    if (typeof bytes !== "string") return bytes;
    const details = bytes === "size" ? "grpc_base_64_decode_failed_bad_size" : "grpc_base_64_decode_failed";
    stream.sendLocalReply({ status: 400, body: "Bad gRPC-web request, invalid base64 data.", details, flags: 0, close: true });
    return noBytes;
  },

  onResponseHeaders(stream, endStream, index) {
    const state = stateOf(stream, index);
    if (state === undefined) return "continue";
    const headers = stream.responseHeaders!;
    const foreign = !isGrpcResponse(stream, headers, endStream) && !isWebResponse(stream, headers);
    headers.remove("content-length");
    headers.set("content-type", state.writer === undefined ? "application/grpc-web+proto" : "application/grpc-web-text+proto");
    if (endStream || !foreign) return "continue";
    state.foreign = true;
    return holdForeign(stream, headers);
  },

  onResponseData(stream, data, _endStream, index) {
    const writer = stateOf(stream, index)?.writer;
    return writer === undefined ? data : writer.push(data);
  },

  onResponseTrailers(stream, trailers, index) {
    const state = stateOf(stream, index);
    if (state === undefined || state.foreign) return undefined;
    const frame = encodeTrailersFrame(trailers);
    for (const name of trailers.names.slice()) trailers.remove(name);
    return state.writer === undefined ? frame : Buffer.from(frame.toString("base64"), "latin1");
  },
};

function isGrpcResponse(stream: HttpStream, headers: HeaderMap, endStream: boolean): boolean {
  return endStream ? headers.has("grpc-status") : stream.info.responseCode === 200 && isGrpc(headers);
}

function isWebResponse(stream: HttpStream, headers: HeaderMap): boolean {
  const type = (headers.get("content-type") ?? "").split(";", 1)[0]!.trimEnd().toLowerCase();
  return stream.info.responseCode === 200 && binary.has(type);
}

// Envoy's bound for a message that came in several pieces.
const maxMessageBytes = 16_384;
const nothing = Buffer.alloc(0);

/** Takes the body of an answer that is no gRPC and makes it the status's message. */
function holdForeign(stream: HttpStream, headers: HeaderMap): FilterStatus {
  let first = true;
  stream.onBufferedResponse = () => {
    if (!first && stream.heldResponseBytes > maxMessageBytes)
      stream.replaceHeldResponse(stream.copyHeldResponse().subarray(0, maxMessageBytes));
    first = false;
    if (!stream.heldResponseComplete) return;
    stream.onBufferedResponse = undefined;
    headers.set("grpc-message", encodeGrpcMessage(stream.copyHeldResponse().toString("latin1")));
    headers.set("grpc-status", String(grpcStatusOf(stream.info.responseCode)));
    stream.replaceHeldResponse(nothing);
    headers.set("content-length", "0");
    stream.continueResponse();
  };
  return "stop";
}
