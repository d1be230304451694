// The step about policies: what filters for tokens and authorization make of it, at this proxy or at the far end.
import type { Narrative } from "../explanation.ts";
import type { Judgement } from "../knowledge.ts";

/** Whose policies they are; `address` is empty for the proxy that is asked. */
export interface PolicyHolder {
  readonly name: string;
  readonly address: string;
}

/** Tells a judgement. */
export function tellJudgement({ refusal, reasons, open, assumed }: Judgement, { name, address }: PolicyHolder, story: Narrative): void {
  const answer = refusal === undefined ? `the policies of ${name} let it in` : `the policies of ${name} refuse it: ${refusal.details}`;
  const data = { workload: name, address, allowed: refusal === undefined, policy: refusal?.policy ?? "" };
  story.step("policy", answer, data, refusal !== undefined).all(reasons);
  for (const { text, place } of open) story.warn("not_evaluated", `at ${name} ${text} may refuse it, and is not asked here`, place);
  for (const text of assumed) story.warn("unknown_outside", `at ${name} ${text}`);
}
