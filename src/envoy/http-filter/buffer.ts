// Envoy extensions.filters.http.buffer.v3.Buffer: requests are held until they are complete, up to a size.
import type { Decoder } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { integer, onlyTrue } from "../decode/scalars.ts";

/** Buffer. */
export interface BufferConfig {
  /** A body of more is refused with 413. */
  readonly maxRequestBytes: number;
}

/** BufferPerRoute: other limits, or none. */
export type BufferPerRoute = { readonly kind: "disabled" } | { readonly kind: "buffer"; readonly buffer: BufferConfig };

/** Buffer. */
export const decodeBuffer: Decoder<BufferConfig> = message("envoy.extensions.filters.http.buffer.v3.Buffer", (m) => ({
  maxRequestBytes: m.required("max_request_bytes", integer(1, 0xffff_ffff)),
}));

/** BufferPerRoute. */
export const decodeBufferPerRoute: Decoder<BufferPerRoute> = message("envoy.extensions.filters.http.buffer.v3.BufferPerRoute", (m) =>
  m.requiredOneof<BufferPerRoute>(
    {
      disabled: (json, at) => (onlyTrue(json, at), { kind: "disabled" }),
      buffer: (json, at) => ({ kind: "buffer", buffer: decodeBuffer(json, at) }),
    },
    { kind: "disabled" },
  ),
);
