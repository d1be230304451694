// As much of Go's text/template as config/kubernetes uses: `{{ expression }}`, `{{ $x := expression }}`, `{{ if }} {{ else }} {{ end }}`, `{{-`.
// What it does not know is an error.

type Call = (...args: readonly unknown[]) => unknown;

const builtins: Readonly<Record<string, Call>> = { eq: (a, b) => a === b, ne: (a, b) => a !== b };

/** Renders; `data` is the dot, `functions` are callable by name. */
export function renderGoTemplate(template: string, data: unknown, functions: Readonly<Record<string, Call>>): string {
  const variables = new Map<string, unknown>();
  const evaluate = (text: string): unknown => {
    const [head = "", ...rest] = words(text);
    const call = builtins[head] ?? functions[head];
    if (call) return call(...rest.map(value));
    if (rest.length > 0) throw new Error(`unknown function in {{ ${text} }}`);
    return value(head);
  };
  const value = (word: string): unknown => {
    if (/^[`"]/.test(word)) return word.slice(1, -1);
    if (word.startsWith("$") && variables.has(word)) return variables.get(word);
    if (!word.startsWith(".")) throw new Error(`unknown word ${word}`);
    return word
      .slice(1)
      .split(".")
      .reduce<unknown>((at, key) => (at as Readonly<Record<string, unknown>> | undefined)?.[key], data);
  };
  let out = "";
  // Whether each open `if` is showing its part.
  const shown: boolean[] = [];
  const showing = (): boolean => shown.every(Boolean);
  for (const [index, part] of template.split(/(\s*\{\{-.*?\}\}|\{\{.*?\}\})/).entries()) {
    if (index % 2 === 0) {
      if (showing()) out += part;
      continue;
    }
    const [, action = ""] = /\{\{-?\s*(.*?)\s*\}\}/.exec(part) ?? [];
    const [, variable, assigned = ""] = /^(\$\w+) := (.*)$/.exec(action) ?? [];
    if (variable !== undefined) variables.set(variable, evaluate(assigned));
    else if (action.startsWith("if ")) shown.push(showing() && truthy(evaluate(action.slice(3))));
    else if (action === "else") shown.push(!shown.pop());
    else if (action === "end") shown.pop();
    else if (showing()) out += String(evaluate(action));
  }
  if (shown.length > 0) throw new Error("an {{ if }} has no {{ end }}");
  return out;
}

const words = (text: string): readonly string[] => text.match(/`[^`]*`|"[^"]*"|\S+/g) ?? [];
const truthy = (value: unknown): boolean => value !== undefined && value !== "" && value !== false;
