// core.v3.SubstitutionFormatString where it makes the body of a reply: text or JSON with `%COMMAND%` operators.
import { decodeJsonFormat, type JsonFormat } from "./access-log.ts";
import { decodeTextSource } from "./data-source.ts";
import type { Decoder } from "./decode/cursor.ts";
import { message } from "./decode/message.ts";
import { bool, text } from "./decode/scalars.ts";

/** What a reply's body is put into; its `%LOCAL_REPLY_BODY%` is the body without it. */
export interface BodyFormat {
  readonly format: { readonly kind: "text"; readonly text: string } | { readonly kind: "json"; readonly json: JsonFormat };
  /** Operators without a value give nothing, and not `-` or null. */
  readonly omitEmptyValues: boolean;
  /** Empty: application/json for JSON, and otherwise what headers say, or text/plain. */
  readonly contentType: string;
}

type Format = BodyFormat["format"];

const asText =
  (decoder: Decoder<string>): Decoder<Format> =>
  (json, at) => ({ kind: "text", text: decoder(json, at) });

const nothing: Format = { kind: "text", text: "" };

/** A body's format. Properties of JSON are sorted whatever json_format_options says, as Envoy does. */
export const decodeBodyFormat: Decoder<BodyFormat> = message("envoy.config.core.v3.SubstitutionFormatString", (m) => {
  m.accept("json_format_options");
  return {
    format: m.requiredOneof<Format>(
      {
        text_format: asText(text),
        text_format_source: asText(decodeTextSource),
        json_format: (json, at) => ({ kind: "json", json: decodeJsonFormat(json, at) }),
      },
      nothing,
    ),
    omitEmptyValues: m.field("omit_empty_values", bool, false),
    contentType: m.field("content_type", text, ""),
  };
});
