// A gRPC authorization server, on grpc-js and protobufjs: what the proxy's own codec says is read by somebody else's.
import { Server, ServerCredentials } from "@grpc/grpc-js";
import protobuf from "protobufjs";

// Envoy's service.auth.v3, the parts that are used; field numbers are the API's.
const proto = `syntax = "proto3"; package envoy.service.auth.v3;
message SocketAddress { string address = 2; uint32 port_value = 3; }
message Address { SocketAddress socket_address = 1; }
message Peer { Address address = 1; string service = 2; string principal = 4; }
message Timestamp { int64 seconds = 1; int32 nanos = 2; }
message HttpRequest { string id = 1; string method = 2; map<string, string> headers = 3; string path = 4; string host = 5; string scheme = 6;
  int64 size = 9; string protocol = 10; string body = 11; bytes raw_body = 12; }
message Request { Timestamp time = 1; HttpRequest http = 2; }
message Attributes { Peer source = 1; Peer destination = 2; Request request = 4; map<string, string> context_extensions = 10; }
message CheckRequest { Attributes attributes = 1; }
message Status { int32 code = 1; string message = 2; }
message HeaderValue { string key = 1; string value = 2; bytes raw_value = 3; }
message BoolValue { bool value = 1; }
message HeaderValueOption { HeaderValue header = 1; BoolValue append = 2; int32 append_action = 3; }
message HttpStatus { int32 code = 1; }
message Value { oneof kind { int32 null_value = 1; double number_value = 2; string string_value = 3; bool bool_value = 4; Struct struct_value = 5; ListValue list_value = 6; } }
message Struct { map<string, Value> fields = 1; }
message ListValue { repeated Value values = 1; }
message Denied { HttpStatus status = 1; repeated HeaderValueOption headers = 2; string body = 3; }
message Ok { repeated HeaderValueOption headers = 2; repeated string headers_to_remove = 5; repeated HeaderValueOption response_headers_to_add = 6; }
message CheckResponse { Status status = 1; Denied denied_response = 2; Ok ok_response = 3; Struct dynamic_metadata = 4; }`;

const root = protobuf.parse(proto, { keepCase: true }).root;
/** CheckRequest, for tests of the codec. */
export const checkRequestType = root.lookupType("envoy.service.auth.v3.CheckRequest");
/** CheckResponse, for tests of the codec. */
export const checkResponseType = root.lookupType("envoy.service.auth.v3.CheckResponse");

/** A CheckRequest as plain JSON. */
export interface AskedAbout {
  readonly attributes: {
    readonly source: { readonly address: { readonly socket_address: { readonly address: string } }; readonly principal?: string };
    readonly destination: { readonly address: { readonly socket_address: { readonly port_value: number } } };
    readonly context_extensions?: Readonly<Record<string, string>>;
    readonly request: {
      readonly http?: {
        readonly method: string;
        readonly path: string;
        readonly host: string;
        readonly headers: Readonly<Record<string, string>>;
        readonly body?: string;
        readonly raw_body?: string;
        readonly protocol: string;
        readonly size?: string;
      };
    };
  };
}

/** A running server. */
export interface AuthServer {
  readonly port: number;
  readonly asked: readonly AskedAbout[];
  close(): void;
}

/** Listens on a free port; `decide` gives a CheckResponse as JSON, or undefined to never answer. */
export async function listenAuth(decide: (asked: AskedAbout) => object | undefined): Promise<AuthServer> {
  const asked: AskedAbout[] = [];
  const server = new Server();
  server.addService(
    {
      Check: {
        path: "/envoy.service.auth.v3.Authorization/Check",
        requestStream: false,
        responseStream: false,
        requestDeserialize: (bytes: Buffer) => checkRequestType.toObject(checkRequestType.decode(bytes), { longs: String, bytes: String }),
        requestSerialize: (value: Buffer) => value,
        responseSerialize: (value: object) => Buffer.from(checkResponseType.encode(checkResponseType.fromObject(value)).finish()),
        responseDeserialize: (bytes: Buffer) => bytes,
      },
    },
    {
      Check: (call: { readonly request: AskedAbout }, answer: (error: null, value: object) => void) => {
        asked.push(call.request);
        const decision = decide(call.request);
        if (decision !== undefined) answer(null, decision);
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return { port, asked, close: () => server.forceShutdown() };
}
