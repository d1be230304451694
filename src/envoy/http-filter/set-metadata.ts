// Envoy extensions.filters.http.set_metadata.v3.Config: dynamic metadata from the configuration; also its per-route form.
import type { Decoder } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { bool, listOf, nonEmpty, struct, text } from "../decode/scalars.ts";

/** One entry of metadata. */
export interface MetadataEntry {
  readonly namespace: string;
  /** What is there already is merged with `value`; otherwise it stays and the entry counts as denied. */
  readonly allowOverwrite: boolean;
  readonly value: Readonly<Record<string, unknown>>;
}

/** Config. */
export interface SetMetadataConfig {
  readonly metadata: readonly MetadataEntry[];
}

const decodeEntry = message("envoy.extensions.filters.http.set_metadata.v3.Metadata", (m): MetadataEntry | undefined => {
  const namespace = m.required("metadata_namespace", nonEmpty);
  const allowOverwrite = m.field("allow_overwrite", bool, false);
  // Nothing here reads typed metadata, so there is nothing that it could change.
  m.ignore("typed_value");
  if (m.has("value")) return { namespace, allowOverwrite, value: m.field("value", struct, {}) };
  if (!m.has("typed_value")) m.at.error("either value or typed_value is required");
  return undefined;
});

/** Config, with the deprecated single entry first, as Envoy has it. */
export const decodeSetMetadata: Decoder<SetMetadataConfig> = message("envoy.extensions.filters.http.set_metadata.v3.Config", (m) => {
  const namespace = m.field("metadata_namespace", text, "");
  const value = m.field("value", struct, undefined);
  const single = namespace === "" || value === undefined ? [] : [{ namespace, allowOverwrite: true, value }];
  return { metadata: [...single, ...m.field("metadata", listOf(decodeEntry), [])] };
});
