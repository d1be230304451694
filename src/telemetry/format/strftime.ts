// Dates in the patterns access logs use: strftime in UTC with Envoy's sub-second extensions, compiled once.

type Part = string | ((ms: number, date: Date) => string);

const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const months = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const pad = (value: number, width = 2, fill = "0"): string => String(value).padStart(width, fill);
const dayMs = 86_400_000;

const specifiers: Readonly<Record<string, (date: Date) => string>> = {
  Y: (d) => pad(d.getUTCFullYear(), 4),
  y: (d) => pad(d.getUTCFullYear() % 100),
  m: (d) => pad(d.getUTCMonth() + 1),
  d: (d) => pad(d.getUTCDate()),
  e: (d) => pad(d.getUTCDate(), 2, " "),
  H: (d) => pad(d.getUTCHours()),
  I: (d) => pad(d.getUTCHours() % 12 || 12),
  M: (d) => pad(d.getUTCMinutes()),
  S: (d) => pad(d.getUTCSeconds()),
  p: (d) => (d.getUTCHours() < 12 ? "AM" : "PM"),
  j: (d) =>
    pad(Math.floor((Date.UTC(d.getUTCFullYear(), d.getUTCMonth(), d.getUTCDate()) - Date.UTC(d.getUTCFullYear(), 0, 1)) / dayMs) + 1, 3),
  a: (d) => days[d.getUTCDay()]!.slice(0, 3),
  A: (d) => days[d.getUTCDay()]!,
  b: (d) => months[d.getUTCMonth()]!.slice(0, 3),
  h: (d) => months[d.getUTCMonth()]!.slice(0, 3),
  B: (d) => months[d.getUTCMonth()]!,
  T: (d) => d.toISOString().slice(11, 19),
  R: (d) => d.toISOString().slice(11, 16),
  F: (d) => d.toISOString().slice(0, 10),
  D: (d) => `${pad(d.getUTCMonth() + 1)}/${pad(d.getUTCDate())}/${pad(d.getUTCFullYear() % 100)}`,
  s: (d) => String(Math.floor(d.getTime() / 1000)),
  Z: () => "UTC",
  z: () => "+0000",
  n: () => "\n",
  t: () => "\t",
  "%": () => "%",
};

// `%E3S` seconds with three decimals, `%E*S` with as many as there are, `%3f` three decimals alone, `%f` nine.
const token = /%(?:E([\d*])S|(\d?)f|([A-Za-z%]))/g;

/** The pattern of `%START_TIME%` without one. */
export const defaultDatePattern = "%Y-%m-%dT%H:%M:%E3SZ";

/** Compiles a pattern; an unknown specifier is an error. The result takes milliseconds since the epoch. */
export function compileDatePattern(pattern: string): ((wallMs: number) => string) | { readonly error: string } {
  // The default is what almost every log uses, and the engine has it built in.
  if (pattern === defaultDatePattern) return isoDate();
  const parts: Part[] = [];
  let end = 0;
  for (const match of pattern.matchAll(token)) {
    if (match.index > end) parts.push(pattern.slice(end, match.index));
    end = match.index + match[0].length;
    const [whole, decimals, fraction, letter] = match;
    if (decimals !== undefined)
      parts.push(
        (ms, date) => pad(date.getUTCSeconds()) + (decimals === "0" ? "" : `.${fractionOf(ms, decimals === "*" ? 3 : Number(decimals))}`),
      );
    else if (letter === undefined) parts.push((ms) => fractionOf(ms, fraction === "" ? 9 : Number(fraction)));
    else {
      const specifier = specifiers[letter];
      if (!specifier) return { error: `unknown date specifier ${whole}` };
      parts.push((_, date) => specifier(date));
    }
  }
  if (end < pattern.length) parts.push(pattern.slice(end));
  return (ms) => {
    const date = new Date(ms);
    let text = "";
    for (const part of parts) text += typeof part === "string" ? part : part(ms, date);
    return text;
  };
}

// The wall clock has milliseconds; further decimals are zeros.
function fractionOf(ms: number, decimals: number): string {
  return pad(Math.floor(((ms % 1000) + 1000) % 1000), 3)
    .padEnd(9, "0")
    .slice(0, decimals || 1);
}

// Streams of one millisecond are many where it matters.
function isoDate(): (wallMs: number) => string {
  let lastMs = NaN;
  let text = "";
  return (ms) => {
    if (ms !== lastMs) {
      lastMs = ms;
      text = new Date(ms).toISOString();
    }
    return text;
  };
}
