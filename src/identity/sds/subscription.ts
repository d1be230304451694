// One secret of one SDS server: a stream of its own, as Envoy opens one a secret, with ACK, NACK, and a new stream by back-off
// when it ends. What was accepted last stays whatever happens to the server.
import type { Client, ClientDuplexStream, StatusObject } from "@grpc/grpc-js";
import { status } from "@grpc/grpc-js";
import type { Clock, Timer } from "../../clock.ts";
import type { Secret } from "../../envoy/tls/tls.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { backOffMs } from "../workload/schedule.ts";
import { secretDiscoveryService, secretTypeUrl, type DiscoveryRequest, type DiscoveryResponse } from "./sds-protocol.ts";

/** A resource that may be used, or why not. */
export type Judged =
  | { readonly ok: true; readonly secret: Secret; /** Those it names. */ readonly files: readonly string[] }
  | { readonly ok: false; readonly problem: string };

/** What a subscription is given. */
export interface SubscriptionDeps {
  readonly client: Client;
  /** How the server is called in messages. */
  readonly where: string;
  readonly node: () => { readonly id: string; readonly cluster: string };
  /** Decodes and checks one resource as JSON. */
  readonly judge: (resource: Readonly<Record<string, unknown>>) => Judged;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  /** A first or another version was accepted. */
  readonly onSecret: () => void;
  /** The secret was refused, or the stream ended before there was one: nothing to wait for now. */
  readonly onTrouble: (problem: string) => void;
}

/** Milliseconds after which files that do not fit together are read once more: whoever writes them one by one is done by then. */
const settleMs = 500;

/** As much as gRPC takes by default; a bundle of roots is a fraction of it. */
const maxMessageBytes = 4 * 1024 * 1024;

/** A subscription to the secret `name`. */
export class SecretSubscription {
  readonly name: string;
  readonly #deps: SubscriptionDeps;
  #stream: ClientDuplexStream<DiscoveryRequest, DiscoveryResponse> | undefined;
  #secret: Secret | undefined;
  /** As it was sent, and what was read for it. */
  #accepted: { readonly resource: Readonly<Record<string, unknown>>; readonly files: readonly string[] } | undefined;
  #settling: Timer | undefined;
  #version = "";
  #failures = 0;
  #timer: Timer | undefined;
  #closed = false;

  constructor(name: string, deps: SubscriptionDeps) {
    this.name = name;
    this.#deps = deps;
  }

  /** What was accepted last. */
  get secret(): Secret | undefined {
    return this.#secret;
  }

  /** The files that it names. */
  get files(): readonly string[] {
    return this.#accepted?.files ?? [];
  }

  /** Files changed: the secret as it was sent may mean another one now. What cannot be used leaves the one that is. */
  readAgain(mayBeUnfinished = true): void {
    this.#settling?.cancel();
    if (this.#accepted === undefined || this.files.length === 0) return;
    const { clock, logger, judge, onSecret, where } = this.#deps;
    const judged = judge(this.#accepted.resource);
    const fields = { server: where, secret: this.name };
    if (!judged.ok) {
      if (mayBeUnfinished) this.#settling = clock.after(settleMs, () => this.readAgain(false));
      else logger.error("files of an SDS secret refused, what was read before stays", { ...fields, problem: judged.problem });
      return;
    }
    if (JSON.stringify(judged.secret) === JSON.stringify(this.#secret)) return;
    this.#secret = judged.secret;
    logger.info("files of an SDS secret read again", fields);
    onSecret();
  }

  /** Whether a stream is open or being opened. */
  get connected(): boolean {
    return this.#stream !== undefined;
  }

  /** Opens the stream, in place of one that is open. */
  connect(): void {
    if (this.#closed) return;
    this.#timer?.cancel();
    this.#drop();
    const { path, requestSerialize, responseDeserialize } = secretDiscoveryService()["StreamSecrets"]!;
    const stream = this.#deps.client.makeBidiStreamRequest<DiscoveryRequest, DiscoveryResponse>(
      path,
      requestSerialize,
      responseDeserialize,
    );
    this.#stream = stream;
    // The version is said again, so that a server that came back may stay silent.
    stream.write({ ...this.#request(""), node: this.#deps.node() });
    stream.on("data", (response: DiscoveryResponse) => this.#stream === stream && this.#onResponse(response));
    // Every end has a status; an error comes beside it.
    stream.on("error", () => undefined);
    stream.on("status", ({ code, details }: StatusObject) => {
      if (this.#stream === stream) this.#onEnd(code === status.OK ? "the server ended the stream" : `${status[code] ?? code}: ${details}`);
    });
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#settling?.cancel();
    this.#drop();
  }

  #drop(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    // The error of the cancelled call still comes, to listeners that look away.
    stream?.cancel();
  }

  #request(nonce: string): DiscoveryRequest {
    return { version_info: this.#version, resource_names: [this.name], type_url: secretTypeUrl, response_nonce: nonce };
  }

  #onResponse(response: DiscoveryResponse): void {
    const { logger, where, judge, onSecret, onTrouble } = this.#deps;
    const nonce = response.nonce ?? "";
    if (this.#failures > 0) logger.info("SDS server is back", { server: where, secret: this.name });
    this.#failures = 0;
    const resource = (response.resources ?? []).find((candidate) => candidate["name"] === this.name);
    const judged: Judged | undefined = resource && judge(resource);
    if (judged?.ok === false) {
      logger.error("SDS secret refused, what was there before stays", { server: where, secret: this.name, problem: judged.problem });
      // INVALID_ARGUMENT, as Envoy says it.
      this.#stream?.write({ ...this.#request(nonce), error_detail: { code: status.INVALID_ARGUMENT, message: judged.problem } });
      onTrouble(judged.problem);
      return;
    }
    this.#version = response.version_info ?? "";
    this.#stream?.write(this.#request(nonce));
    // A response without the secret says nothing about it; SDS knows no removal.
    if (!judged || !resource) return;
    this.#settling?.cancel();
    this.#secret = judged.secret;
    this.#accepted = { resource, files: judged.files };
    logger.info("SDS secret accepted", { server: where, secret: this.name, version: this.#version });
    onSecret();
  }

  #onEnd(reason: string): void {
    const { clock, random, logger, where, onTrouble } = this.#deps;
    this.#stream = undefined;
    if (this.#closed) return;
    const delayMs = backOffMs(++this.#failures, random());
    const fields = { server: where, secret: this.name, reason, retryInMs: Math.round(delayMs) };
    const message = this.#secret ? "SDS stream ended, the secret in use stays" : "SDS stream ended, the secret is missing";
    // An outage is one line and its end another; the tries between are for those who look closely.
    if (this.#failures === 1) logger.warn(message, fields);
    else logger.debug(message, fields);
    this.#timer = clock.after(delayMs, () => this.connect());
    onTrouble(`SDS server ${where} gives no secret ${this.name} (${reason})`);
  }
}

/** Options of the channel: the stream's own back-off is the one that counts. */
export const channelOptions = {
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1_000,
  "grpc.max_receive_message_length": maxMessageBytes,
  "grpc.enable_retries": 0,
} as const;
