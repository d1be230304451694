// core.v3.DataSource: bytes given inline, by file or by environment variable. Files are read while decoding, through the
// context's reader, so that what reaches the workers is plain data.
import type { Cursor, Decoder } from "./decode/cursor.ts";
import { message } from "./decode/message.ts";
import { bytes, nonEmpty, text } from "./decode/scalars.ts";

const empty = new Uint8Array();

function fromFile(path: string, at: Cursor): Uint8Array {
  if (path === "") return empty;
  const content = at.outside().readFile?.(path) ?? { error: "this source reads no files" };
  if (content instanceof Uint8Array) return content;
  at.error(`cannot read ${path}: ${content.error}`);
  return empty;
}

function fromEnvironment(name: string, at: Cursor): Uint8Array {
  const value = at.outside().environment?.(name);
  if (value !== undefined) return Buffer.from(value);
  if (name !== "") at.error(`the environment variable ${name} is not set`);
  return empty;
}

/** The bytes of a data source. */
export const decodeDataSource: Decoder<Uint8Array> = message("envoy.config.core.v3.DataSource", (m) => {
  // The file source watches every file it reads, so a watched directory asks for nothing more.
  m.accept("watched_directory");
  return m.requiredOneof<Uint8Array>(
    {
      filename: (json, at) => fromFile(nonEmpty(json, at), at),
      inline_bytes: bytes,
      inline_string: (json, at) => Buffer.from(text(json, at)),
      environment_variable: (json, at) => fromEnvironment(nonEmpty(json, at), at),
    },
    empty,
  );
});

/** A data source as UTF-8 text. */
export const decodeTextSource: Decoder<string> = (json, at) => Buffer.from(decodeDataSource(json, at)).toString("utf8");

/** A data source that must hold PEM blocks with this label, e.g. `CERTIFICATE` or `PRIVATE KEY`. The text is never quoted in issues. */
export function decodePem(label: string): Decoder<string> {
  const begin = new RegExp(`-----BEGIN [A-Z0-9 ]*${label}-----`);
  return (json, at) => {
    const before = at.errors;
    const pem = decodeTextSource(json, at);
    if (at.errors === before && !begin.test(pem)) at.error(`expected PEM with a ${label} block, found none`);
    return pem;
  };
}
