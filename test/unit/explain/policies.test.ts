// What explanations say of policies and tokens, at gateways and at the far end, over the golden meshes that have every kind of them.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { explain } from "../../../src/explain/explain.ts";
import type { Explanation } from "../../../src/explain/explanation.ts";
import { explainMesh } from "../../../src/explain/mesh/load.ts";
import { parseQuestion, type QuestionText } from "../../../src/explain/question.ts";
import { loadMeshDirectory } from "../../../src/source/mesh/directory/load.ts";
import { sentences } from "../../support/explained-mesh.ts";

const folder = fileURLToPath(new URL("../../golden/mesh/authorization/mesh", import.meta.url));
const claimRoutes = fileURLToPath(new URL("../../golden/mesh/claim-routes/mesh", import.meta.url));

/** When tokens are judged, in seconds. */
const now = 1_700_000_000;

async function ask(node: string, question: QuestionText, mesh = folder): Promise<Explanation> {
  const loaded = await loadMeshDirectory(mesh, { variables: {} });
  const { config } = await explainMesh(loaded, loaded.nodes.get(node)!);
  const parsed = parseQuestion(question);
  assert.ok(!("problem" in parsed));
  return explain(config, parsed, { wallMs: () => now * 1000 });
}

/** The line of a text in the policies, from 1. */
function lineOf(text: string): number {
  return (
    readFileSync(join(folder, "istio/policies.yaml"), "utf8")
      .split("\n")
      .findIndex((line) => line.includes(text)) + 1
  );
}

suite("explanations of policies", () => {
  test("a DENY rule is named, with its line", async () => {
    const { steps, verdict } = await ask("asked", { method: "TRACE", target: "http://shop.front.svc.cluster.local/" });
    const step = steps.find(({ kind }) => kind === "policy");
    assert.equal(step?.failed, true);
    assert.equal(step.data["policy"], "ns[front]-policy[deny-some]-rule[1]");
    const reason = step.reasons.find(({ text }) => text === "rule 1 of AuthorizationPolicy front/deny-some (DENY) matches");
    assert.equal(reason?.place?.line, lineOf("methods: [TRACE]"));
    assert.deepEqual([verdict.sent, verdict.status, verdict.details], [false, 403, "via_upstream"]);
  });

  test("an ALLOW rule is named as well, and that no token is there", async () => {
    const { steps, verdict, warnings } = await ask("asked", { target: "http://shop.front.svc.cluster.local/" });
    const step = steps.find(({ kind }) => kind === "policy");
    assert.equal(step?.failed, false);
    assert.ok(step.reasons.some(({ text }) => text === "rule 2 of AuthorizationPolicy front/everything (ALLOW) matches"));
    assert.ok(
      step.reasons.some(({ text }) =>
        text.startsWith("no token is where it would be looked for by jwtRules[1] of RequestAuthentication front/shop"),
      ),
    );
    assert.deepEqual(warnings, []);
    assert.equal(verdict.sent, true);
  });

  test("CUSTOM rules without one authorizer refuse what they match", async () => {
    const { verdict } = await ask("asked", { target: "http://mixed.custom.svc.cluster.local/one" });
    assert.match(verdict.text, /istio-ext-authz-ns\[custom\]-policy\[one\]-rule\[0\]-deny-due-to-bad-CUSTOM-action/);
  });

  test("a TCP connection meets the rules that hold without a request", async () => {
    const { steps } = await ask("asked", { target: "shop.front.svc.cluster.local:9000", tcp: true });
    assert.equal(steps.find(({ kind }) => kind === "policy")?.data["allowed"], false);
  });

  test("a rule that asks who the client is, is told of when it is about the request", async () => {
    const warned = async (node: string, target: string): Promise<boolean> =>
      (await ask(node, { target })).warnings.some(({ code, text }) => code === "unknown_outside" && text.includes("who the client is"));
    assert.equal(await warned("edge", "http://shop.example.com/"), false);
    assert.equal(await warned("ingress", "http://shop.example.com/"), true);
  });
});

const jwt = (claims: object, kid: string): string => {
  const part = (json: object): string => Buffer.from(JSON.stringify(json)).toString("base64url");
  const signed = `${part({ alg: "HS256", kid })}.${part(claims)}`;
  return `${signed}.${createHmac("sha256", "secret").update(signed).digest("base64url")}`;
};
const bearer = (token: string): string => `authorization: Bearer ${token}`;

interface TokenCase {
  readonly title: string;
  readonly node?: string;
  readonly target?: string;
  readonly token?: string;
  /** `STATUS DETAILS`, or `sent`. */
  readonly ends: string;
  readonly says: readonly (string | RegExp)[];
  readonly not?: RegExp;
}

const good = jwt({ iss: "edge.example", sub: "joe" }, "e");

const tokenCases: readonly TokenCase[] = [
  {
    title: "a good token",
    token: good,
    ends: "sent",
    says: [
      "the policies of edge.front in one let it in",
      `the token of edge.example, sub joe, is good: jwtRules[0] of RequestAuthentication front/edge @istio/policies.yaml:${lineOf("issuer: edge.example")}`,
      `rule 0 of AuthorizationPolicy front/edge (ALLOW) matches @istio/policies.yaml:${lineOf("hosts: [shop.example.com, '*.example.org'")}`,
      "the policies of shop-0 let it in",
      // Without forwardOriginalToken the gateway keeps it.
      "no token is where it would be looked for by jwtRules[1] of RequestAuthentication front/shop",
    ],
  },
  {
    title: "no token",
    ends: "sent",
    says: ["no token is where it would be looked for by jwtRules[0] of RequestAuthentication front/edge"],
  },
  {
    title: "a token that another key has signed",
    token: good.replace(/.{4}$/, "AAAA"),
    ends: "401 jwt_authn_access_denied{Jwt_verification_fails}",
    says: [
      "the policies of edge.front in one refuse it: jwt_authn_access_denied{Jwt_verification_fails}",
      `is refused (Jwt verification fails): jwtRules[0] of RequestAuthentication front/edge @istio/policies.yaml:${lineOf("issuer: edge.example")}`,
    ],
    not: /route: /,
  },
  {
    title: "a token that has expired",
    token: jwt({ iss: "edge.example", exp: now - 61 }, "e"),
    ends: "401 jwt_authn_access_denied{Jwt_is_expired}",
    says: ["the token of edge.example is refused (Jwt is expired)"],
  },
  {
    title: "one that has not, by the clock's skew",
    token: jwt({ iss: "edge.example", exp: now - 60 }, "e"),
    ends: "sent",
    says: ["is good"],
  },
  {
    title: "a token of somebody else",
    token: jwt({ iss: "nobody.example" }, "e"),
    ends: "401 jwt_authn_access_denied{Jwt_issuer_is_not_configured}",
    says: [
      "the token of nobody.example is refused (Jwt issuer is not configured)",
      "jwtRules[0] of RequestAuthentication front/edge takes tokens of edge.example",
      "jwtRules[0] of RequestAuthentication istio-system/mesh takes tokens of z-issuer.example",
    ],
  },
  {
    title: "what is no token",
    token: "abc",
    ends: "401 jwt_authn_access_denied{Jwt_is_not_in_the_form_of_Header.Payload.Signature}",
    says: ["the token of nobody known is refused"],
  },
  {
    title: "a token for the workload at the far end, from its neighbour",
    node: "asked",
    target: "http://shop.front.svc.cluster.local/",
    token: jwt({ iss: "https://issuer.example", aud: "nobody" }, "a"),
    ends: "403 via_upstream",
    says: ["the policies of shop-0 refuse it: jwt_authn_access_denied{Audiences_in_Jwt_are_not_allowed}"],
  },
  {
    title: "a host that no ALLOW policy of the gateway has",
    target: "http://other.example.com/",
    ends: "403 rbac_access_denied_matched_policy[none]",
    says: [
      "no ALLOW policy of the workload matches",
      `AuthorizationPolicy front/edge has no rule that does @istio/policies.yaml:${lineOf("{name: edge, namespace: front}") - 2}`,
    ],
  },
  {
    title: "an authorizer is named, and its policy",
    target: "http://shop.example.com/account",
    ends: "sent",
    says: [
      `extension provider http-authz (auth/ext-authz.auth.svc.cluster.local, port 8000) is asked: rule 0 of AuthorizationPolicy front/edge-asks (CUSTOM) matches @istio/policies.yaml:${lineOf("paths: ['/account*']")}`,
      /warning not_evaluated: at edge.front in one extension provider http-authz .* may refuse it, and is not asked here @istio\/policies.yaml:\d+/,
    ],
  },
  {
    title: "and is not asked about the rest",
    target: "http://shop.example.com/",
    ends: "sent",
    says: ["outbound|8000||ext-authz.auth.svc.cluster.local is not asked: no rule of CUSTOM policies matches"],
    not: /not_evaluated/,
  },
];

suite("explanations of tokens and policies at gateways", () => {
  for (const { title, node = "edge", target = "http://shop.example.com/", token, ends, says, not } of tokenCases) {
    test(title, async () => {
      const explanation = await ask(node, { target, headers: token === undefined ? [] : [bearer(token)] });
      const text = sentences(explanation);
      const { sent, status, details } = explanation.verdict;
      assert.equal(sent ? "sent" : `${status} ${details}`, ends, text);
      for (const said of says) assert.ok(typeof said === "string" ? text.includes(said) : said.test(text), `${said} in\n${text}`);
      if (not !== undefined) assert.doesNotMatch(text, not);
    });
  }

  test("a TCP connection at a gateway meets its rules, and a client that nobody knows is assumed", async () => {
    const explanation = await ask("ingress", { target: "shop.front.svc.cluster.local:9000", tcp: true });
    const text = sentences(explanation);
    assert.equal(explanation.verdict.details, "rbac_access_denied_matched_policy[ns[istio-system]-policy[gateways]-rule[0]]", text);
    assert.ok(
      text.includes(
        `rule 0 of AuthorizationPolicy istio-system/gateways (DENY) matches @istio/policies.yaml:${lineOf("remoteIpBlocks: [198")}`,
      ),
      text,
    );
    assert.match(text, /warning unknown_outside: .* 198\.51\.100\.1 without a certificate is assumed/);
  });

  test("claims choose the route; keys that would have to be fetched are taken to sign well, which is said", async () => {
    const mesh = mkdtempSync(join(tmpdir(), "isthmus-explain-"));
    try {
      cpSync(claimRoutes, mesh, { recursive: true });
      const file = join(mesh, "istio/gateway.yaml");
      writeFileSync(file, readFileSync(file, "utf8").replace("jwks: '{\"keys\":[]}'", "jwksUri: https://me.example/keys"));
      const token = jwt({ iss: "me", group: "guest", realm: { role: "admin" } }, "any");
      const text = sentences(await ask("ingress", { target: "http://shop.example.com/", headers: [bearer(token)] }, mesh));
      assert.match(text, /route: route nested of shop\.example\.com:80/);
      assert.match(text, /before it: route dotted wants claim group/);
      assert.match(text, /warning unknown_outside: .* its keys are those of https:\/\/me\.example\/keys, which are not fetched here/);
    } finally {
      rmSync(mesh, { recursive: true, force: true });
    }
  });

  test("a key set that is given and empty verifies nothing", async () => {
    const { verdict } = await ask(
      "ingress",
      { target: "http://shop.example.com/", headers: [bearer(jwt({ iss: "me" }, "any"))] },
      claimRoutes,
    );
    assert.equal(verdict.details, "jwt_authn_access_denied{Jwks_doesn't_have_any_valid_public_key}");
  });
});
