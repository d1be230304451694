// The door: a question put to a configuration. It takes the steps that a connection takes, with the code that takes them at run time.
import { type Clock, systemClock } from "../clock.ts";
import type { ExplainConfig } from "./config.ts";
import { type Explanation, Narrative, sent, type Verdict } from "./explanation.ts";
import type { HelloQuestion, Question, RequestQuestion } from "./question.ts";
import { authorityOf } from "./question.ts";
import { clientBytes, helloBytes } from "./client-bytes.ts";
import { followConnection } from "./follow.ts";
import { resolveHost } from "./step/dns.ts";
import { findListener, helloListener } from "./step/listener.ts";

/** Answers a question. Nothing is resolved, dialled or sent; `clock` says when, since tokens expire. */
export function explain(config: ExplainConfig, question: Question, clock: Pick<Clock, "wallMs"> = systemClock): Explanation {
  const story = new Narrative();
  const verdict =
    question.kind === "hello"
      ? explainHello(config, question, story)
      : explainRequest(config, question, Math.floor(clock.wallMs() / 1000), story);
  return { question: describeQuestion(config, question), steps: story.steps, warnings: story.warnings, verdict };
}

/** What happens to a ClientHello at a gateway; also asked of the gateway on the far side of a request. */
function explainHello(config: ExplainConfig, question: HelloQuestion, story: Narrative): Verdict {
  const found = helloListener(config, question.port, story);
  if ("sent" in found) return found;
  const bytes = helloBytes(question.serverName, question.alpn);
  return followConnection(config, { ...found, bytes, request: undefined, nowSeconds: 0, farSide: () => sent("") }, story);
}

function explainRequest(config: ExplainConfig, question: RequestQuestion, nowSeconds: number, story: Narrative): Verdict {
  const destination = resolveHost(config, question, story);
  if ("sent" in destination) return destination;
  const found = findListener(config, destination, story);
  if ("sent" in found) return found;
  return followConnection(
    config,
    {
      ...found,
      bytes: clientBytes(question),
      request: question,
      nowSeconds,
      // What a gateway of another network does with our hello is asked of that gateway's own configuration.
      farSide: (gateway, serverName, alpn) => {
        if (gateway.config === undefined) return undefined;
        return explainHello(gateway.config, { kind: "hello", serverName, alpn, port: gateway.port }, story.of(gateway.config.name));
      },
    },
    story,
  );
}

function describeQuestion({ name }: ExplainConfig, question: Question): string {
  if (question.kind === "hello") {
    const alpn = question.alpn.length === 0 ? "no ALPN" : `ALPN ${question.alpn.join(", ")}`;
    return `ClientHello with ${question.serverName === "" ? "no SNI" : `SNI ${question.serverName}`} and ${alpn}, at ${name}`;
  }
  const { protocol, method, path, host, port } = question;
  if (protocol === "tcp") return `TCP to ${host.includes(":") ? `[${host}]` : host}:${port}, from ${name}`;
  return `${method} ${protocol === "tls" ? "https" : "http"}://${authorityOf(question)}${path}, from ${name}`;
}
