// google.protobuf.Any in its JSON form: an object with `@type`. TypedStruct (udpa and xds) is unwrapped to what it stands for.
import { type Cursor, type Decoder, describe, isObject } from "./cursor.ts";
import { message } from "./message.ts";
import { text } from "./scalars.ts";
import { nearest } from "./nearest.ts";

const typedStructs = new Set(["udpa.type.v1.TypedStruct", "xds.type.v3.TypedStruct"]);

/** An Any after unwrapping: which message, its JSON, and the way to it from where the Any is. */
export interface AnyMessage {
  /** Full message name, without the URL's host. */
  readonly type: string;
  readonly json: Readonly<Record<string, unknown>>;
  readonly below: readonly string[];
}

/** Opens an Any, or reports why it is none. */
export function openAny(json: unknown, at: Cursor): AnyMessage | undefined {
  if (!isObject(json)) {
    at.error(`expected an object with "@type", got ${describe(json)}`);
    return undefined;
  }
  const { "@type": url, ...rest } = json;
  if (typeof url !== "string" || url === "") {
    at.error('expected a type URL such as "type.googleapis.com/..."', "@type");
    return undefined;
  }
  const type = messageName(url);
  if (!typedStructs.has(type)) return { type, json: rest, below: [] };
  const inner = rest["type_url"] ?? rest["typeUrl"];
  const value = rest["value"] ?? {};
  if (typeof inner !== "string" || !isObject(value)) {
    at.error("a TypedStruct needs type_url and value");
    return undefined;
  }
  return { type: messageName(inner), json: value, below: ["value"] };
}

function messageName(url: string): string {
  return url.slice(url.lastIndexOf("/") + 1);
}

/** Dispatches an Any over its message name; `unknown` is called with the issue path at the Any. */
export function anyOf<T>(decoders: Readonly<Record<string, Decoder<T>>>, unknown: (type: string, at: Cursor) => T): Decoder<T> {
  const known = new Map(Object.entries(decoders));
  return (json, at) => {
    if (json === undefined) return unknown("", at);
    const opened = openAny(json, at);
    if (opened === undefined) return at.neutral((_, cursor) => unknown("", cursor));
    const decoder = known.get(opened.type);
    if (decoder === undefined) return unknown(opened.type, at);
    return descend(opened, decoder, at);
  };
}

/** Runs `decoder` on an opened Any, at its path. */
export function descend<T>(opened: AnyMessage, decoder: Decoder<T>, at: Cursor): T {
  const step = opened.below[0];
  return step === undefined ? decoder(opened.json, at) : at.in(step, decoder, opened.json);
}

/** The sentence for a message name that a table does not have. */
export function unsupportedType(type: string, candidates: Iterable<string>): string {
  // Type names share most of their letters, so only a slip or two counts as near.
  const near = nearest(type, candidates, 3);
  return `${type} is not supported${near === undefined ? "" : `, did you mean ${near}`}`;
}

/** core.v3.TypedExtensionConfig and its look-alikes: `name` and `typed_config`. */
export function typedExtension<T>(typedConfig: Decoder<T>): Decoder<T> {
  return message("envoy.config.core.v3.TypedExtensionConfig", (m) => {
    m.field("name", text, "");
    return m.required("typed_config", typedConfig);
  });
}
