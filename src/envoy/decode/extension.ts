// What the table of extensions says about one, and how the decoders that meet `typed_config` find it there. The table itself is
// ../extensions.ts; it reaches the decoders through the context, because its entries decode filters that hold filters.
import type { Cursor, Decoder } from "./cursor.ts";

/** Which kind of place an extension is configured in. */
export type ExtensionKind = "listener filter" | "network filter" | "http filter";

/**
 * What happens to an extension: `honoured` is decoded and runs; `ignored` is accepted with a warning and does nothing;
 * `refused` makes its resource an error, because leaving it out would change who may reach whom or what they get.
 */
export type ExtensionPolicy = "honoured" | "ignored" | "refused";

/** One row of the table. */
export interface Extension {
  readonly kind: ExtensionKind;
  /** Canonical name, e.g. `envoy.filters.http.router`. */
  readonly name: string;
  /** Full message name of its configuration, the last part of the `@type` URL. */
  readonly type: string;
  readonly policy: ExtensionPolicy;
  /** For `honoured`. */
  readonly decode?: Decoder<unknown>;
  /** Per-route configuration of HTTP filters: full message name to decoder. */
  readonly perRoute?: Readonly<Record<string, Decoder<unknown>>>;
  /** True when this configuration changes nothing by itself, so that a runtime without the filter may leave it out. */
  readonly inert?: (config: unknown) => boolean;
  /** Completes `... is refused: ` or `... is ignored: `. */
  readonly why?: string;
}

/** The table, looked up by kind and message name. */
export interface ExtensionTable {
  byType(kind: ExtensionKind, type: string): Extension | undefined;
  byName(kind: ExtensionKind, name: string): Extension | undefined;
  /** The HTTP filter whose per-route configuration has this message name. */
  byPerRouteType(type: string): Extension | undefined;
  /** Message names of one kind, for suggestions. */
  types(kind: ExtensionKind): readonly string[];
  /** Canonical names of the honoured extensions of one kind. */
  honoured(kind: ExtensionKind): readonly string[];
}

/** Indexes rows. */
export function createExtensionTable(rows: readonly Extension[]): ExtensionTable {
  const types = new Map<string, Extension>();
  const names = new Map<string, Extension>();
  const perRoute = new Map<string, Extension>();
  for (const row of rows) {
    types.set(`${row.kind} ${row.type}`, row);
    // Several messages may configure one extension; the first row is the one to find by name.
    if (!names.has(`${row.kind} ${row.name}`)) names.set(`${row.kind} ${row.name}`, row);
    for (const type of Object.keys(row.perRoute ?? {})) if (!perRoute.has(type)) perRoute.set(type, row);
  }
  return {
    byType: (kind, type) => types.get(`${kind} ${type}`),
    byName: (kind, name) => names.get(`${kind} ${name}`),
    byPerRouteType: (type) => perRoute.get(type),
    types: (kind) => rows.filter((row) => row.kind === kind).map((row) => row.type),
    honoured: (kind) => rows.filter((row) => row.kind === kind && row.policy === "honoured").map((row) => row.name),
  };
}

/** Decodes JSON with a row's decoder; rows without one have no configuration worth keeping. */
export function decodeWith(row: Extension, json: unknown, at: Cursor): unknown {
  return row.decode ? row.decode(json, at) : {};
}
