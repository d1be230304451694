// gRPC between unmodified programs: an application that serves all four kinds of calls with grpc-js, and a client of it.
import assert from "node:assert/strict";
import {
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type ServiceError,
} from "@grpc/grpc-js";
import type { Ending } from "./proxy.ts";

/** Messages are bytes on both sides. */
export const same = (bytes: Buffer): Buffer => bytes;
const method = (path: string, requestStream: boolean, responseStream: boolean) => ({
  path,
  requestStream,
  responseStream,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
});
/** The service: one method of each kind. */
export const echoService = {
  unary: method("/test.Echo/Unary", false, false),
  collect: method("/test.Echo/Collect", true, false),
  spread: method("/test.Echo/Spread", false, true),
  chat: method("/test.Echo/Chat", true, true),
};

/** What the application noticed. */
export interface Seen {
  /** Waits for the next call that is cancelled. */
  readonly cancelled: () => Promise<void>;
  readonly metadata: Metadata[];
}

/** Echoes; `unary` fails with the status that its message names, `spread` repeats its message as often as it says. */
export async function startGrpcApp(t: Ending): Promise<{ readonly port: number; readonly seen: Seen }> {
  let cancelled = Promise.withResolvers<void>();
  const metadata: Metadata[] = [];
  const unary: handleUnaryCall<Buffer, Buffer> = (call, callback) => {
    metadata.push(call.metadata);
    call.on("cancelled", () => cancelled.resolve());
    const text = call.request.toString();
    if (text === "never") return;
    const code = /^fail (\d+)/.exec(text);
    const trailers = new Metadata();
    trailers.set("x-trailer", "kept");
    if (code === null) callback(null, call.request, trailers);
    else callback({ code: Number(code[1]), details: "as asked é", metadata: trailers });
  };
  const collect: handleClientStreamingCall<Buffer, Buffer> = (call, callback) => {
    let bytes = 0;
    call.on("data", (piece: Buffer) => (bytes += piece.length));
    call.on("end", () => callback(null, Buffer.from(String(bytes))));
  };
  const spread: handleServerStreamingCall<Buffer, Buffer> = (call) => {
    const [size, count] = call.request.toString().split(" ").map(Number) as [number, number];
    const piece = Buffer.alloc(size, "isthmus ");
    let sent = 0;
    call.on("cancelled", () => cancelled.resolve());
    const more = (): void => {
      while (sent < count) {
        sent++;
        if (!call.write(piece)) {
          call.once("drain", more);
          return;
        }
      }
      call.end();
    };
    more();
  };
  const chat: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
    call.on("data", (piece: Buffer) => call.write(piece));
    call.on("end", () => call.end());
  };
  const server = new Server({ "grpc.max_receive_message_length": -1 });
  server.addService(echoService, { unary, collect, spread, chat });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  t.after(() => server.forceShutdown());
  const waitForCancelled = async (): Promise<void> => {
    await cancelled.promise;
    cancelled = Promise.withResolvers();
  };
  return { port, seen: { cancelled: waitForCancelled, metadata } };
}

/** How a unary call ended. */
export interface Answer {
  readonly code: number;
  readonly details: string;
  readonly value: string | undefined;
  readonly trailer: string | undefined;
}

/** Makes a unary call. */
export function unary(client: Client, message: string, options: object = {}, metadata = new Metadata()): Promise<Answer> {
  return new Promise((resolve) => {
    let value: string | undefined;
    const call = client.makeUnaryRequest(
      echoService.unary.path,
      same,
      same,
      Buffer.from(message),
      metadata,
      options,
      (_error: ServiceError | null, answer?: Buffer) => (value = answer?.toString()),
    );
    call.on("status", (end) =>
      setImmediate(() => resolve({ code: end.code, details: end.details, value, trailer: end.metadata.get("x-trailer")[0]?.toString() })),
    );
  });
}

/** A client in clear text, as an application beside its sidecar is. */
export function startGrpcClient(t: Ending, address: string): Client {
  const client = new Client(address, credentials.createInsecure(), {
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
  });
  t.after(() => client.close());
  return client;
}

/** Sends `count` messages in one call; the bytes that the application says it got. */
export async function collect(client: Client, message: Buffer, count: number): Promise<number> {
  const answered = Promise.withResolvers<number>();
  const call = client.makeClientStreamRequest(echoService.collect.path, same, same, new Metadata(), {}, (error, value?: Buffer) =>
    error === null ? answered.resolve(Number(value)) : answered.reject(error),
  );
  for (let i = 0; i < count; i++) {
    if (!call.write(message)) await new Promise<void>((resolve) => call.once("drain", resolve));
  }
  call.end();
  return answered.promise;
}

/** Asks for `count` messages of `size` bytes in one call; the bytes that came. */
export async function spread(client: Client, size: number, count: number): Promise<number> {
  const call = client.makeServerStreamRequest(echoService.spread.path, same, same, Buffer.from(`${size} ${count}`));
  let bytes = 0;
  for await (const piece of call as AsyncIterable<Buffer>) bytes += piece.length;
  return bytes;
}

/** Sends messages one by one, each after the echo of the one before; the status at the end. */
export async function chat(client: Client, messages: number): Promise<number> {
  const call = client.makeBidiStreamRequest(echoService.chat.path, same, same);
  for (let i = 0; i < messages; i++) {
    const echoed = new Promise<Buffer>((resolve) => call.once("data", resolve));
    call.write(Buffer.from(`message ${i}`));
    assert.equal((await echoed).toString(), `message ${i}`);
  }
  const end = new Promise<number>((resolve) => call.once("status", ({ code }) => resolve(code)));
  call.end();
  call.resume();
  return end;
}
