// Decoders of header changes: core.v3.HeaderValueOption lists and the four fields that every route level has.
import type { Cursor, Decoder } from "../decode/cursor.ts";
import { type Fields, message } from "../decode/message.ts";
import { bool, bytes, enumeration, headerName, list, text } from "../decode/scalars.ts";
import type { HeaderMutations, HeaderValueOption } from "./route.ts";

const appendAction = enumeration({ APPEND_IF_EXISTS_OR_ADD: 0, ADD_IF_ABSENT: 1, OVERWRITE_IF_EXISTS_OR_ADD: 2, OVERWRITE_IF_EXISTS: 3 });

const decodeHeaderValue = message("envoy.config.core.v3.HeaderValue", (m) => ({
  key: m.required("key", mutableHeader),
  value:
    m.oneof<string>({ value: headerValue, raw_value: (json, at) => checkValue(Buffer.from(bytes(json, at)).toString("latin1"), at) }) ?? "",
}));

const headerValue: Decoder<string> = (json, at) => checkValue(text(json, at), at);

function checkValue(value: string, at: Cursor): string {
  if (/[\r\n\0]/.test(value)) at.error("a header value must not contain line ends or NUL");
  return value;
}

// As in Envoy: what routing and framing are decided by is not for header rules to change.
/** A header that configuration may change, in lower case. */
export const mutableHeader: Decoder<string> = (json, at) => {
  const name = headerName(json, at);
  if (name === "" && typeof json === "string") at.error("must not be empty");
  if (name.startsWith(":") || name === "host") at.error(":-prefixed or host headers may not be modified");
  return name;
};

/** core.v3.HeaderValueOption, the deprecated `append` included. */
export const decodeHeaderValueOption: Decoder<HeaderValueOption> = message("envoy.config.core.v3.HeaderValueOption", (m) => {
  const append = m.field("append", bool, undefined);
  const action = m.field("append_action", appendAction, "APPEND_IF_EXISTS_OR_ADD");
  if (append !== undefined && m.has("append_action")) m.at.error("give either this or append_action, not both", "append");
  return {
    ...m.required("header", decodeHeaderValue),
    appendAction: append === false ? "OVERWRITE_IF_EXISTS_OR_ADD" : action,
    keepEmptyValue: m.field("keep_empty_value", bool, false),
  };
});

const additions = list(decodeHeaderValueOption, { max: 1000 });
const removals = list(mutableHeader);

/** The header fields of a route configuration, virtual host, route or weighted cluster. */
export function decodeHeaderMutations(m: Fields): HeaderMutations {
  return {
    requestAdd: m.field("request_headers_to_add", additions, []),
    requestRemove: m.field("request_headers_to_remove", removals, []),
    responseAdd: m.field("response_headers_to_add", additions, []),
    responseRemove: m.field("response_headers_to_remove", removals, []),
  };
}
