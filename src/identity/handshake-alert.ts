// The alert for a certificate that was refused. Node lets every chain through the handshake and judges it afterwards,
// when OpenSSL has no way left to say why; without this a peer sees a bare close where Envoy tells it `unknown CA`.
import { createCipheriv, createHmac } from "node:crypto";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";

const alertType = 21;
const applicationDataType = 23;
const fatal = 2;
const tagBytes = 16;

interface Suite {
  readonly cipher: "aes-128-gcm" | "aes-256-gcm" | "chacha20-poly1305";
  readonly keyBytes: number;
  readonly hash: "sha256" | "sha384";
}

const suites: Readonly<Record<string, Suite>> = {
  TLS_AES_128_GCM_SHA256: { cipher: "aes-128-gcm", keyBytes: 16, hash: "sha256" },
  TLS_AES_256_GCM_SHA384: { cipher: "aes-256-gcm", keyBytes: 32, hash: "sha384" },
  TLS_CHACHA20_POLY1305_SHA256: { cipher: "chacha20-poly1305", keyBytes: 32, hash: "sha256" },
};

/**
 * The keys that the first record of each side after the event is read with. A server has sent its Finished, so those of the
 * application; a client has its own still before it, so those of the handshake.
 */
const labels = { server: "SERVER_TRAFFIC_SECRET_0", client: "CLIENT_HANDSHAKE_TRAFFIC_SECRET" } as const;

/** Holds what one handshake needs to refuse its peer in the protocol's words. */
export class RefusalAlert {
  readonly #tls: TLSSocket;
  readonly #raw: Socket;
  readonly #role: keyof typeof labels;
  #line: Buffer | undefined;

  /** Attach right after the TLSSocket was made, before any byte was processed. `role`: which side this is. */
  constructor(tls: TLSSocket, raw: Socket, role: keyof typeof labels) {
    this.#role = role;
    this.#tls = tls;
    this.#raw = raw;
    tls.on("keylog", this.#onKeyLog);
  }

  // The secret stays in this object for the few milliseconds between the server's and the client's Finished, and as text: it
  // is read for the few who are refused.
  readonly #onKeyLog = (line: Buffer): void => {
    const label = labels[this.#role];
    if (line.length > label.length && line.toString("latin1", 0, label.length) === label) this.#line = line;
  };

  /** Forgets the secret; the handshake was accepted. */
  release(): void {
    this.#line?.fill(0);
    this.#line = undefined;
    this.#tls.removeListener("keylog", this.#onKeyLog);
  }

  /**
   * Sends a fatal alert. Only inside the TLSSocket's `secure` event: OpenSSL's last flight is not written yet then, so in
   * TLS 1.2 the client still reads plaintext, and in TLS 1.3 ours is the first record under the keys that the peer expects.
   * A client of TLS 1.2 has no way to say it: its Finished is out, and the keys after it are not told.
   */
  send(description: number): void {
    const plain = this.#role === "server" ? Buffer.from([alertType, 3, 3, 0, 2, fatal, description]) : undefined;
    const record = this.#tls.getProtocol() === "TLSv1.3" ? this.#sealed(description) : plain;
    this.release();
    if (record !== undefined && !this.#raw.destroyed) this.#raw.write(record);
  }

  #sealed(description: number): Buffer | undefined {
    const suite = suites[this.#tls.getCipher().name];
    const [, , hex] = this.#line?.toString("latin1").trim().split(" ") ?? [];
    if (suite === undefined || hex === undefined) return undefined;
    const secret = Buffer.from(hex, "hex");
    const key = expandLabel(suite, secret, "key", suite.keyBytes);
    const nonce = expandLabel(suite, secret, "iv", 12); // record number 0 leaves the iv as it is
    const plaintext = Buffer.from([fatal, description, alertType]);
    const header = Buffer.from([applicationDataType, 3, 3, 0, plaintext.length + tagBytes]);
    const cipher = createCipheriv(suite.cipher as "aes-256-gcm", key, nonce, { authTagLength: tagBytes });
    cipher.setAAD(header);
    const body = Buffer.concat([cipher.update(plaintext), cipher.final()]);
    return Buffer.concat([header, body, cipher.getAuthTag()]);
  }
}

// HKDF-Expand-Label with an empty context (RFC 8446 section 7.1); all outputs fit one HMAC block, which is HKDF-Expand's first.
function expandLabel(suite: Suite, secret: Buffer, label: string, length: number): Buffer {
  const full = Buffer.from(`tls13 ${label}`);
  const info = Buffer.concat([Buffer.from([0, length, full.length]), full, Buffer.from([0])]);
  return createHmac(suite.hash, secret)
    .update(info)
    .update(Buffer.from([1]))
    .digest()
    .subarray(0, length);
}
