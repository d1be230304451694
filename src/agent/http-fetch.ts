// One bounded GET to the application beside this proxy: a deadline, a limit for the body, no connection kept.
import { request as httpRequest } from "node:http";
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";
import { request as httpsRequest } from "node:https";

/** What to ask for. */
export interface Fetch {
  readonly scheme: "http" | "https";
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly headers: OutgoingHttpHeaders;
  /** Source address, for what must pass interception untouched. */
  readonly localAddress?: string | undefined;
  readonly timeoutMs: number;
  readonly maxBytes: number;
  /** `refuse` fails on a body beyond the limit, `cut` gives its beginning. */
  readonly beyond: "refuse" | "cut";
}

/** What came. */
export interface Fetched {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Asks; rejects with one sentence when there is no answer in time, or too much of one. */
export function fetchLocal(fetch: Fetch): Promise<Fetched> {
  const { scheme, host, port, path, headers, localAddress, timeoutMs, maxBytes, beyond } = fetch;
  return new Promise((resolve, reject) => {
    // Kubelet does not verify certificates of probed containers either: they are for other names.
    const options = { host, port, path, headers, localAddress, agent: false, rejectUnauthorized: false };
    const request = (scheme === "https" ? httpsRequest : httpRequest)(options);
    const deadline = setTimeout(() => request.destroy(new Error(`no answer within ${Math.ceil(timeoutMs)} ms`)), timeoutMs);
    const end = (settle: () => void): void => {
      clearTimeout(deadline);
      settle();
    };
    request.on("error", (error) => end(() => reject(error)));
    request.on("response", (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      const done = (): void =>
        end(() =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).subarray(0, maxBytes) }),
        );
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        chunks.push(chunk);
        if (bytes <= maxBytes) return;
        if (beyond === "cut") done();
        request.destroy(new Error(`the answer is larger than ${maxBytes} bytes`));
      });
      response.on("end", done);
      response.on("error", (error) => end(() => reject(error)));
    });
    request.end();
  });
}
