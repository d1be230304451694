// Sessions that stay at their host: the same steps against this proxy and, where it is, Envoy.
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { answering, type AnsweringProxy } from "../../support/envoy-proxy.ts";
import { bootstrap, cluster, httpListener } from "../../support/proxy.ts";
import { connectRaw, hasResponses, listenHttp, reply } from "../../support/raw-http.ts";

const any = (type: string, fields: object = {}): object => ({ "@type": `type.googleapis.com/envoy.extensions.${type}`, ...fields });
const state = (kind: "cookie" | "header", fields: object): object => ({
  session_state: {
    name: `envoy.http.stateful_session.${kind}`,
    typed_config: any(
      `http.stateful_session.${kind}.v3.${kind === "cookie" ? "CookieBasedSessionState" : "HeaderBasedSessionState"}`,
      fields,
    ),
  },
});
const cookie = (more: object = {}): object => state("cookie", { cookie: { name: "session", ...more } });

interface Answer {
  readonly status: number;
  readonly host: string;
  readonly field: (name: string) => string | undefined;
}

interface Lab {
  readonly addresses: readonly string[];
  readonly proxy: AnsweringProxy;
  get(path: string, fields?: string): Promise<Answer>;
}

for (const [name, start, skip] of answering) {
  suite(`sessions of ${name}`, { skip }, () => {
    test("a cookie holds its session to the host that answered first", async (t) => {
      const lab = await build(t, start, cookie({ path: "/", ttl: "120s", attributes: [{ name: "SameSite", value: "Strict" }] }));
      const first = await lab.get("/");
      const set = first.field("set-cookie") ?? "";
      const [, value = ""] = /^session="([^"]+)"; Max-Age=120; Path=\/; SameSite=Strict; HttpOnly$/.exec(set) ?? [];
      assert.notEqual(value, "", set);
      for (let i = 0; i < 6; i++) {
        const again = await lab.get("/", `cookie: session="${value}"\r\n`);
        assert.deepEqual([again.host, again.field("set-cookie")], [first.host, undefined]);
      }
    });

    test("a cookie without a lifetime names a host by itself, and counts below its path alone", async (t) => {
      const lab = await build(t, start, cookie({ path: "/app" }));
      const first = await lab.get("/app/x");
      const value = /^session="([^"]+)"; Path=\/app; HttpOnly$/.exec(first.field("set-cookie") ?? "")?.[1] ?? "";
      assert.equal(Buffer.from(value, "base64").toString("latin1"), `\n${String.fromCharCode(first.host.length)}${first.host}`);
      assert.equal((await lab.get("/app", `cookie: session="${value}"\r\n`)).host, first.host);
      for (const path of ["/", "/application"]) assert.equal((await lab.get(path)).field("set-cookie"), undefined, path);
    });

    test("a header names the host", async (t) => {
      const lab = await build(t, start, state("header", { name: "x-session" }));
      const first = await lab.get("/");
      assert.equal(Buffer.from(first.field("x-session") ?? "", "base64").toString(), first.host);
      for (const address of lab.addresses) {
        const there = await lab.get("/", `x-session: ${Buffer.from(address).toString("base64")}\r\n`);
        assert.deepEqual([there.host, there.field("x-session")], [address, undefined]);
      }
    });

    test("a host that is not there is replaced, and the session told; strict sessions are refused", async (t) => {
      const gone = `x-session: ${Buffer.from("127.0.0.1:9").toString("base64")}\r\n`;
      const lab = await build(t, start, state("header", { name: "x-session" }));
      const moved = await lab.get("/", gone);
      assert.deepEqual([moved.status, moved.field("x-session")], [200, Buffer.from(moved.host).toString("base64")]);
      const strict = await build(t, start, { ...state("header", { name: "x-session" }), strict: true });
      assert.equal((await strict.get("/", gone)).status, 503);
      assert.equal((await strict.get("/")).status, 200);
    });

    test("a host in a state that is not asked for is none", async (t) => {
      const field = (address: string): string => `x-session: ${Buffer.from(address).toString("base64")}\r\n`;
      for (const [statuses, reached] of [
        [undefined, false],
        [["HEALTHY", "UNKNOWN", "DRAINING"], true],
      ] as const) {
        const override = statuses && { common_lb_config: { override_host_status: { statuses } } };
        const lab = await build(t, start, state("header", { name: "x-session" }), { draining: true, cluster: override });
        const [draining = ""] = lab.addresses;
        const answer = await lab.get("/", field(draining));
        assert.deepEqual([answer.status, answer.host === draining], [200, reached]);
      }
    });

    test("a route has a session of its own, or none", async (t) => {
      const lab = await build(t, start, cookie());
      assert.match((await lab.get("/")).field("set-cookie") ?? "", /^session=/);
      assert.equal((await lab.get("/off")).field("set-cookie"), undefined);
      const own = await lab.get("/own");
      assert.deepEqual([own.field("set-cookie"), own.field("x-own")], [undefined, Buffer.from(own.host).toString("base64")]);
    });
  });
}

const perRoute = (config: object): object => ({
  typed_per_filter_config: {
    "envoy.filters.http.stateful_session": any("filters.http.stateful_session.v3.StatefulSessionPerRoute", config),
  },
});

async function build(
  t: TestContext,
  start: (typeof answering)[number][1],
  session: object,
  more: { readonly draining?: boolean; readonly cluster?: object | undefined } = {},
): Promise<Lab> {
  const ports = await Promise.all(
    [0, 1, 2].map(async () => {
      const origin: { readonly port: number; close(): Promise<void> } = await listenHttp(({ socket }) =>
        reply(socket, "fine", "200 OK", `x-host: 127.0.0.1:${origin.port}\r\n`),
      );
      t.after(() => origin.close());
      return origin.port;
    }),
  );
  const endpoints = ports.map((port, i) => ({
    endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } },
    ...(more.draining === true && i === 0 ? { health_status: "DRAINING" } : {}),
  }));
  const route = { cluster: "origin" };
  const manager = {
    http_filters: [
      { name: "envoy.filters.http.stateful_session", typed_config: any("filters.http.stateful_session.v3.StatefulSession", session) },
      { name: "router", typed_config: any("filters.http.router.v3.Router") },
    ],
  };
  const routes = [
    { match: { path: "/off" }, route, ...perRoute({ disabled: true }) },
    { match: { path: "/own" }, route, ...perRoute({ stateful_session: state("header", { name: "x-own" }) }) },
    { match: { prefix: "/" }, route },
  ];
  // The connection manager's own routes are replaced with its filters.
  const listener = httpListener("main", { routes, manager });
  const origins = cluster("origin", 0, {
    load_assignment: { cluster_name: "origin", endpoints: [{ lb_endpoints: endpoints }] },
    ...more.cluster,
  });
  const proxy = await start(t, bootstrap([listener], [origins]));
  return {
    addresses: ports.map((port) => `127.0.0.1:${port}`),
    proxy,
    get: async (path, fields = "") => {
      const client = await connectRaw(proxy.port("main"));
      t.after(() => void client.socket.destroy());
      client.socket.write(`GET ${path} HTTP/1.1\r\nHost: lab\r\n${fields}\r\n`);
      const text = await client.until(hasResponses(1));
      const field = (name: string): string | undefined => new RegExp(`^${name}: (.*?)\r$`, "im").exec(text)?.[1];
      return { status: Number(text.slice(9, 12)), host: field("x-host") ?? "", field };
    },
  };
}
