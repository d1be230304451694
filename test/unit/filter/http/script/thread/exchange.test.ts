// One run of a hook: what a script is given, and what is made of what it does and returns.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { FilterModule } from "../../../../../../src/filter/http/script/filter-api.ts";
import type { Hook, HookResult, Invocation } from "../../../../../../src/filter/http/script/messages.ts";
import { runHook } from "../../../../../../src/filter/http/script/thread/exchange.ts";

const invocation = (hook: Hook, more: Partial<Invocation> = {}): Invocation => ({
  hook,
  config: 1,
  method: "GET",
  path: "/a",
  authority: "lab",
  scheme: "http",
  protocol: "HTTP/1.1",
  remoteAddress: "10.0.0.1",
  peer: "",
  status: hook.startsWith("onResponse") ? 200 : 0,
  headers: ["x", "1"],
  ...more,
});

const run = (module: FilterModule, asked: Invocation): Promise<HookResult> => runHook(module, asked, {}, () => undefined);

suite("a run of a hook", () => {
  test("that does nothing changes nothing", async () => {
    assert.deepEqual(await run({ onRequestHeaders: () => undefined }, invocation("onRequestHeaders")), {});
  });

  test("is told state and metadata of before, and gives them on", async () => {
    const result = await run(
      {
        onRequestHeaders: (_request, { state, metadata }) => {
          state["seen"] = [state["before"], metadata.get("jwt")?.["sub"]];
          metadata.set("k", { a: 1 });
          metadata.set("k", 2, "other");
        },
      },
      invocation("onRequestHeaders", { state: { before: 1 }, metadata: new Map([["jwt", { sub: "me" }]]) }),
    );
    assert.deepEqual(result, {
      state: { before: 1, seen: [1, "me"] },
      metadata: [
        ["isthmus.filters.http.script", "k", { a: 1 }],
        ["other", "k", 2],
      ],
    });
  });

  test("says that its synchronous part is over also when it throws", async () => {
    let over = 0;
    const module: FilterModule = {
      onRequestHeaders: () => {
        throw new Error("no");
      },
    };
    await assert.rejects(
      runHook(module, invocation("onRequestHeaders"), {}, () => void over++),
      /no/,
    );
    assert.equal(over, 1);
  });

  test("may return text or bytes in place of a body; bytes are copied", async () => {
    const bytes = new Uint8Array([9, 1, 2, 9]);
    const part = await run({ onRequestBody: () => bytes.subarray(1, 3) }, invocation("onRequestBody"));
    assert.deepEqual([...part.body!], [1, 2]);
    assert.equal(part.body!.buffer.byteLength, 2);
    const text = await run({ onResponseBody: () => "ö" }, invocation("onResponseBody"));
    assert.deepEqual([...text.body!], [0xc3, 0xb6]);
  });

  for (const [title, hook, returned] of [
    ["text for headers", "onRequestHeaders", "text"],
    ["a number", "onRequestBody", 1],
    ["an object without a status", "onResponseHeaders", { body: "x" }],
    ["a status that interrupts", "onRequestHeaders", { status: 101 }],
    ["a status that is none", "onRequestHeaders", { status: 600 }],
    ["a reply with a header that frames", "onRequestHeaders", { status: 200, headers: { "content-length": "0" } }],
  ] as const) {
    test(`${title} is refused`, async () => {
      const module = { [hook]: () => returned } as unknown as FilterModule;
      await assert.rejects(run(module, invocation(hook)), TypeError);
    });
  }

  for (const [key, value] of [
    ["path", "no-slash"],
    ["path", "/a b"],
    ["path", "/a\r\n"],
    ["path", "/a#b"],
    ["method", "get it"],
    ["authority", "a/b"],
    ["authority", ""],
  ] as const) {
    test(`${key} cannot become ${JSON.stringify(value)}`, async () => {
      const module: FilterModule = { onRequestHeaders: (request) => void (request[key] = value) };
      await assert.rejects(run(module, invocation("onRequestHeaders")), TypeError);
    });
  }

  test("what is left as state has to be JSON", async () => {
    const module: FilterModule = {
      onRequestHeaders: (_request, { state }) => void (state["self"] = state),
    };
    await assert.rejects(run(module, invocation("onRequestHeaders")), TypeError);
  });
});
