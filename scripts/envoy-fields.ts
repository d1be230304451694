// Writes src/envoy/decode/fields.json: which fields Envoy's messages have, for the messages that the decoders name. Read from
// the .proto files in @grpc/grpc-js-xds; fields that Envoy gained after those files were cut are listed in later-fields.json.
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const protoRoot = join(root, "node_modules/@grpc/grpc-js-xds/deps");
/** Where the result belongs. */
export const fieldsFile = join(root, "src/envoy/decode/fields.json");

type FieldTable = Record<string, readonly string[]>;

/** Full names of the messages that the decoders' sources name. */
function decodedMessages(): readonly string[] {
  const names = new Set<string>();
  for (const file of globSync("src/envoy/**/*.ts", { cwd: root })) {
    // The table of extensions names messages that are only recognised, not decoded.
    if (file.endsWith("extensions.ts")) continue;
    for (const match of readFileSync(join(root, file), "utf8").matchAll(/"(envoy\.[\w.]+\.v\d\w*\.[A-Z][\w.]*)"/g))
      names.add(match[1] ?? "");
  }
  return [...names].sort();
}

/** The table as it should be. */
export function collectFields(): FieldTable {
  const wanted = decodedMessages();
  const later = JSON.parse(readFileSync(join(root, "scripts/later-fields.json"), "utf8")) as FieldTable;
  const packages = new Set(wanted.map((name) => name.replace(/(\.v\d\w*)\..*$/, "$1").replaceAll(".", "/")));
  const files = [...packages].flatMap((folder) => globSync(join(protoRoot, "envoy-api", folder, "*.proto")));
  const proto = new protobuf.Root();
  // Parsed one by one and without imports: only names of fields are read, their types are of no interest.
  for (const file of files) protobuf.parse(readFileSync(file, "utf8"), proto, { keepCase: true });
  const table: FieldTable = {};
  for (const name of wanted) {
    const type = lookup(proto, name);
    const own = type === undefined ? [] : Object.keys(type.fields);
    const added = later[name] ?? [];
    if (type !== undefined || added.length > 0) table[name] = [...new Set([...own, ...added])].sort();
  }
  return table;
}

function lookup(proto: protobuf.Root, name: string): protobuf.Type | undefined {
  const found = proto.lookup(name);
  return found instanceof protobuf.Type ? found : undefined;
}

/** The file's text. */
export function renderFields(table: FieldTable): string {
  return `${JSON.stringify(table, null, 1)}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const table = collectFields();
  writeFileSync(fieldsFile, renderFields(table));
  console.log(`${relative(root, fieldsFile)}: ${Object.keys(table).length} messages`);
}
