// Reads the files that configuration consists of and refers to, with failures as sentences. Bounded in size.
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";

/** The bytes of a file, or why there are none. */
export type FileContent = Uint8Array | { readonly error: string };

/** Reads a whole file; relative paths are relative to the working directory, as Envoy's are. */
export type FileReader = (path: string) => FileContent;

// Larger than any mesh's configuration; protects against a path that names a disk or a log.
const maxFileBytes = 64 * 1024 * 1024;

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "a part of the path is not a folder",
  EACCES: "permission denied; let the user that runs isthmus read it",
  EPERM: "permission denied; let the user that runs isthmus read it",
  EISDIR: "it is a folder",
  ELOOP: "too many symbolic links",
  EMFILE: "too many open files; raise the limit with ulimit -n",
};

/** Reads from the file system. */
export const readLocalFile: FileReader = (path) => {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, "r");
    const stats = fstatSync(descriptor);
    if (stats.isDirectory()) return { error: "it is a folder" };
    if (stats.size > maxFileBytes) return { error: `it has ${stats.size} bytes, more than ${maxFileBytes}` };
    return readFileSync(descriptor);
  } catch (thrown) {
    const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : "";
    return { error: reasons[code] ?? (thrown instanceof Error ? thrown.message : String(thrown)) };
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
};
