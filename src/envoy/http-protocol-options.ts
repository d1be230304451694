// Parts of core.v3.HttpProtocolOptions and Http1ProtocolOptions that listeners and clusters read alike.
import type { Decoder } from "./decode/cursor.ts";
import { message } from "./decode/message.ts";
import { enumeration } from "./decode/scalars.ts";

/** headers_with_underscores_action. */
export const decodeUnderscoresAction = enumeration({ ALLOW: 0, REJECT_REQUEST: 1, DROP_HEADER: 2 });

/** Http1ProtocolOptions.header_key_format: whether names are written in Proper-Case. */
export const decodeHeaderKeyFormat: Decoder<boolean> = message("envoy.config.core.v3.Http1ProtocolOptions.HeaderKeyFormat", (m) =>
  m.has("proper_case_words"),
);
