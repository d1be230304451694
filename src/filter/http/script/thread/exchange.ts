// One run of a hook inside the thread: makes the objects the script is given, and reads what it did to them.
import type { FilterContext, FilterModule, FilterReply, FilterRequest, FilterResponse } from "../filter-api.ts";
import type { HookResult, Invocation } from "../messages.ts";
import { headerName, HeaderView, headerValue } from "./header-view.ts";

/** The namespace of metadata that is set without one. */
const ownNamespace = "isthmus.filters.http.script";

/** Runs a hook; `interrupted` is called when its synchronous part is over. Rejects with what the script threw. */
export async function runHook(
  module: FilterModule,
  invocation: Invocation,
  config: Readonly<Record<string, unknown>>,
  interrupted: () => void,
): Promise<HookResult> {
  const exchange = new Exchange(invocation, config);
  let returned: unknown;
  try {
    returned = exchange.call(module);
  } finally {
    interrupted();
  }
  // A hook that is not async costs no turn.
  const verdict: unknown = isThenable(returned) ? await returned : returned;
  return exchange.result(verdict);
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}

class Exchange {
  readonly #invocation: Invocation;
  readonly #headers: HeaderView;
  readonly #line: Record<"method" | "path" | "authority", string>;
  readonly #changedLine: Partial<Record<"method" | "path" | "authority", string>> = {};
  readonly #metadata: [string, string, unknown][] = [];
  readonly #context: FilterContext;
  #status: number;

  constructor(invocation: Invocation, config: Readonly<Record<string, unknown>>) {
    this.#invocation = invocation;
    this.#headers = new HeaderView(invocation.headers);
    const { method, path, authority, metadata } = invocation;
    this.#line = { method, path, authority };
    this.#status = invocation.status;
    this.#context = {
      config,
      state: { ...invocation.state },
      metadata: {
        get: (namespace) => metadata?.get(namespace),
        set: (key, value, namespace = ownNamespace) =>
          void this.#metadata.push([String(namespace), String(key), toJson(value, `metadata ${String(key)}`)]),
      },
    };
  }

  call(module: FilterModule): unknown {
    const { hook, body = new Uint8Array() } = this.#invocation;
    if (hook === "onRequestHeaders") return module.onRequestHeaders?.(this.#request(), this.#context);
    if (hook === "onRequestBody") return module.onRequestBody?.(body, this.#request(), this.#context);
    if (hook === "onResponseHeaders") return module.onResponseHeaders?.(this.#response(), this.#context);
    return module.onResponseBody?.(body, this.#response(), this.#context);
  }

  result(verdict: unknown): HookResult {
    const { changes } = this.#headers;
    const { state } = this.#context;
    return {
      ...this.#verdict(verdict),
      ...(changes.length === 0 ? {} : { headerChanges: changes }),
      ...(Object.keys(this.#changedLine).length === 0 ? {} : { line: this.#changedLine }),
      ...(this.#status === this.#invocation.status ? {} : { status: this.#status }),
      ...(Object.keys(state).length === 0 ? {} : { state: toJson(state, "context.state") as Record<string, unknown> }),
      ...(this.#metadata.length === 0 ? {} : { metadata: this.#metadata }),
    };
  }

  #verdict(verdict: unknown): Pick<HookResult, "reply" | "body"> {
    if (verdict === undefined || verdict === null) return {};
    const { hook } = this.#invocation;
    const takesBody = hook === "onRequestBody" || hook === "onResponseBody";
    if (takesBody && (typeof verdict === "string" || verdict instanceof Uint8Array)) return { body: bytesOf(verdict) };
    if (typeof verdict === "object" && "status" in verdict) return { reply: encodeReply(verdict as FilterReply) };
    throw new TypeError(`${hook} returned ${describe(verdict)}, expected ${takesBody ? "a body, " : ""}a reply with a status, or nothing`);
  }

  #request(): FilterRequest {
    const { scheme, protocol, remoteAddress, peer } = this.#invocation;
    const line = this.#line;
    const change = (key: keyof typeof line, value: string): void => void (this.#changedLine[key] = line[key] = value);
    return {
      get method() {
        return line.method;
      },
      set method(value) {
        change("method", checked("method", value, /^[A-Z][A-Z0-9_-]*$/));
      },
      get path() {
        return line.path;
      },
      set path(value) {
        change("path", checked("path", value, /^\/[\x21-\x22\x24-\x7e\x80-\xff]*$/));
      },
      get authority() {
        return line.authority;
      },
      set authority(value) {
        change("authority", checked("authority", value, /^[A-Za-z0-9._~%!$&'()*+,;=:[\]-]+$/));
      },
      scheme,
      protocol,
      headers: this.#headers,
      remoteAddress,
      peer,
    };
  }

  #response(): FilterResponse {
    const read = (): number => this.#status;
    const write = (value: number): void => void (this.#status = statusOf(value));
    return {
      get status() {
        return read();
      },
      set status(value) {
        write(value);
      },
      headers: this.#headers,
      request: this.#line,
    };
  }
}

function checked(what: string, value: string, pattern: RegExp): string {
  if (typeof value !== "string" || !pattern.test(value)) throw new TypeError(`${describe(value)} is no ${what}`);
  return value;
}

function statusOf(status: unknown): number {
  // Interim responses are none, and 101 would hand the connection over.
  if (Number.isInteger(status) && (status as number) >= 200 && (status as number) <= 599) return status as number;
  throw new TypeError(`${describe(status)} is no status from 200 to 599`);
}

function encodeReply({ status, headers = {}, body = "" }: FilterReply): NonNullable<HookResult["reply"]> {
  return {
    status: statusOf(status),
    headers: Object.entries(headers).flatMap(([name, value]) => [headerName(name), headerValue(name, value)]),
    body: bytesOf(body),
  };
}

// A copy, so that what is sent is not the whole buffer that it may be a part of.
function bytesOf(body: string | Uint8Array): Uint8Array {
  return typeof body === "string" ? new TextEncoder().encode(body) : new Uint8Array(body);
}

function toJson(value: unknown, what: string): unknown {
  const text: string | undefined = JSON.stringify(value);
  if (text === undefined) throw new TypeError(`${what} is ${describe(value)}, expected a JSON value`);
  return JSON.parse(text);
}

function describe(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 60));
  if (typeof value === "object" && value !== null) return "an object";
  return typeof value === "function" ? "a function" : String(value);
}
