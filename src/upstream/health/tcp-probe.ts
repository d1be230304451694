// The TCP health check: connecting is enough, or what the host sends has to contain the bytes that are expected.
import type { Socket } from "node:net";
import type { HealthCheckKind } from "../../envoy/cluster/health-check.ts";
import type { Pending } from "../../identity/transport.ts";
import { faultReason } from "../call/call.ts";
import type { CheckTarget } from "./check-target.ts";
import { type CheckResult, containsInOrder, networkFailure, type Probe } from "./probe.ts";

type TcpCheck = Extract<HealthCheckKind, { readonly kind: "tcp" }>;

// A host that talks without end is no match.
const maxBytes = 1 << 16;

/** Asks by bytes. */
export class TcpProbe implements Probe {
  readonly #target: CheckTarget;
  readonly #check: TcpCheck;
  readonly #reuse: boolean;
  #done: ((result: CheckResult) => void) | undefined;
  #dialling: Pending | undefined;
  #socket: Socket | undefined;
  #received: Buffer = Buffer.alloc(0);

  constructor(target: CheckTarget, check: TcpCheck, reuse: boolean) {
    this.#target = target;
    this.#check = check;
    this.#reuse = reuse;
  }

  start(done: (result: CheckResult) => void): void {
    this.#done = done;
    this.#received = Buffer.alloc(0);
    const socket = this.#socket;
    if (socket !== undefined) {
      socket.write(this.#check.send);
      return;
    }
    let over = false;
    const dialling = this.#target.dial(
      { allowHalfOpen: false },
      {
        onConnected: (connected) => {
          over = true;
          this.#dialling = undefined;
          this.#onConnected(connected);
        },
        onFailed: (error) => {
          over = true;
          this.#dialling = undefined;
          this.#finish(networkFailure(faultReason(error)));
        },
      },
    );
    if (!over) this.#dialling = dialling;
  }

  giveUp(): void {
    this.#done = undefined;
    this.#dialling?.cancel();
    this.#dialling = undefined;
    this.#drop();
  }

  close(): void {
    this.giveUp();
  }

  #onConnected(socket: Socket): void {
    const { send, receive } = this.#check;
    if (receive.length === 0) {
      // As in Envoy: with nothing to wait for nothing is sent either.
      socket.destroy();
      this.#finish({ kind: "success", degraded: false });
      return;
    }
    this.#socket = socket;
    socket.on("data", (data: Buffer) => this.#onData(data));
    socket.on("close", () => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      this.#finish(networkFailure("the host closed the connection"));
    });
    if (send.length > 0) socket.write(send);
  }

  #onData(data: Buffer): void {
    // What comes between two checks answers none.
    if (this.#done === undefined) return;
    this.#received = Buffer.concat([this.#received, data]);
    if (containsInOrder(this.#received, this.#check.receive)) {
      if (!this.#reuse) this.#drop();
      this.#finish({ kind: "success", degraded: false });
    } else if (this.#received.length > maxBytes) {
      this.#drop();
      this.#finish(networkFailure("the host sends too much"));
    }
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
  }

  #finish(result: CheckResult): void {
    const done = this.#done;
    this.#done = undefined;
    this.#received = Buffer.alloc(0);
    done?.(result);
  }
}
