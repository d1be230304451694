// Body formats of replies (core.v3.SubstitutionFormatString): to one function from a stream and the body it would have to a body.
import type { BodyFormat } from "../../envoy/body-format.ts";
import type { Result } from "../../error.ts";
import { compileJsonFormat } from "../access-log/json-format.ts";
import { RecordText } from "../access-log/record-text.ts";
import { compileFormat } from "../format.ts";
import type { StreamInfo } from "../stream-info.ts";

/** A reply's body, as a byte string. */
export type FormatBody = (info: StreamInfo, body: string) => string;

/** A compiled format. */
export interface CompiledBodyFormat {
  readonly format: FormatBody;
  /** Empty: the format says nothing of it. */
  readonly contentType: string;
}

/** Compiles a format, or says what is wrong with it. */
export function compileBodyFormat({ format, omitEmptyValues, contentType }: BodyFormat): Result<CompiledBodyFormat> {
  // One reply is formatted at a time.
  let current = "";
  const deps = { localReplyBody: () => current };
  if (format.kind === "text") {
    const text = compileFormat(format.text, { ...deps, missing: omitEmptyValues ? "" : "-" });
    if (!text.ok) return text;
    const write = text.value;
    return { ...text, value: { format: (info, body) => ((current = body), write(info)), contentType } };
  }
  const json = compileJsonFormat(format.json, omitEmptyValues, deps);
  if (!json.ok) return json;
  const write = json.value;
  const inJson: FormatBody = (info, body) => {
    current = body;
    const out = new RecordText();
    write(info, out);
    return out.toString();
  };
  return { ...json, value: { format: inJson, contentType: contentType || "application/json" } };
}
