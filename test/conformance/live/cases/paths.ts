// Normalisation of paths, with each way to treat escaped slashes.
import { type LiveCase, get, raw } from "../case.ts";

const targets: readonly (readonly [name: string, target: string])[] = [
  ["double slash", "//a///b"],
  ["escaped slashes", "/a%2Fb%5cc"],
  ["dot segments behind escapes", "/a%2f..%2fb"],
  ["above the root", "/../../b"],
  ["encoded dots of both cases", "/a/%2E%2e/b"],
  ["double encoding", "/a/%252e%252e/b"],
];
const forMain: readonly (readonly [name: string, target: string])[] = [
  ...targets,
  ["dot at the end", "/a/b/."],
  ["two dots at the end", "/a/b/.."],
  ["three dots", "/a/.../b"],
  ["semicolon before dots", "/a/..;/b"],
  ["backslash dots", "/a\\..\\b"],
  ["escape at the end", "/a%"],
  ["escape cut short", "/a%2"],
  ["escaped NUL", "/a%00b"],
  ["escaped line feed", "/a%0ab"],
  ["DEL", "/a\x7fb"],
  ["control character", "/a\x02b"],
  ["bytes above 127", "/\xc3\xa9"],
  ["quotes and brackets", '/"<>[]{}|^`'],
  ["plus and escaped space", "/a+b%20c?d+e%20f"],
  ["question marks in the query", "/a?b?c/../d"],
  ["fragment behind the query", "/a?b#c"],
  ["fragment alone", "/#"],
  ["asterisk", "*"],
  ["colon first", ":80/x"],
  ["scheme-relative", "//other/e"],
];

export const pathCases: readonly LiveCase[] = [
  ...forMain.map(([name, target]) => get(`path: ${name}`, target)),
  ...targets.map(([name, target]) => get(`path, unescaped and merged: ${name}`, target, [], { listener: "edge" })),
  ...targets.map(([name, target]) => get(`path, escaped slashes refused: ${name}`, target, [], { listener: "reject" })),
  ...targets.map(([name, target]) => get(`path, as it is: ${name}`, target, [], { listener: "http10" })),
  raw("path: OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: lab\r\n\r\n"),
  get("path: rbac sees the normalised path", "/rbac/path/x/../secret", [], { listener: "filters" }),
  get("path: rbac sees escapes as they are", "/rbac/path/%73ecret", [], { listener: "filters" }),
];
