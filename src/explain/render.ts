// An explanation as text for people. Programs take it as JSON, in the shape of explanation.ts.
import { styleText } from "node:util";
import type { Explanation, Place, Reason, StepKind } from "./explanation.ts";

const titles: Readonly<Record<StepKind, string>> = {
  dns: "DNS",
  listener: "listener",
  filter_chain: "chain",
  route: "route",
  cluster: "cluster",
  endpoints: "endpoints",
  tls: "TLS",
  gateway: "gateway",
  policy: "policy",
  rate_limit: "rate limit",
};
const titleWidth = 11;

type Style = "bold" | "dim" | "green" | "red" | "yellow" | "cyan";

/** Lays an explanation out: a line a step, its reasons below, then warnings and the verdict. */
export function renderExplanation({ question, steps, warnings, verdict }: Explanation, colour: boolean): string {
  const style = (name: Style, text: string): string => (colour ? styleText(name, text, { validateStream: false }) : text);
  const reason = ({ text, place }: Reason): string => `${text}${place === undefined ? "" : ` ${style("dim", `(${placeText(place)})`)}`}`;
  const lines = [style("bold", question), ""];
  let at = "";
  for (const step of steps) {
    const inset = step.at === "" ? "  " : "      ";
    if (step.at !== at && step.at !== "") lines.push(`${inset}${style("bold", `at ${step.at}`)}`);
    ({ at } = step);
    const title = titles[step.kind].padEnd(titleWidth);
    lines.push(`${inset}${style(step.failed ? "red" : "cyan", title)}${step.failed ? style("red", step.answer) : step.answer}`);
    for (const each of step.reasons) lines.push(`${inset}${" ".repeat(titleWidth)}- ${reason(each)}`);
  }
  lines.push("");
  for (const warning of warnings) lines.push(`${style("yellow", "warning")} ${warning.code}: ${reason(warning)}`);
  if (warnings.length > 0) lines.push("");
  const record = [verdict.status ?? "", verdict.flags, verdict.details].filter((part) => part !== "").join(" ");
  lines.push(`${verdict.sent ? style("green", "ok") : style("red", "FAILS")}: ${verdict.text}`);
  if (!verdict.sent && record !== "- -") lines.push(`the access log says: ${record}`);
  return lines.map((line) => `${line.trimEnd()}\n`).join("");
}

const placeText = ({ file, line }: Place): string => `${file}:${line}`;
