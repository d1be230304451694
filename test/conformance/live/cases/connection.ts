// Upgrades, CONNECT, WebSocket, and the life of connections.
import { type LiveCase, get, raw, request } from "../case.ts";

const upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13"];

export const connectionCases: readonly LiveCase[] = [
  raw("upgrade: websocket, bytes both ways", [request("GET", "/ws/websocket", upgrade), { until: "hello" }, "ping", { until: "ping" }], {
    fin: true,
  }),
  raw("upgrade: websocket, bytes with the request", [request("GET", "/ws/websocket", upgrade, "early"), { until: "early" }], { fin: true }),
  get("upgrade: websocket declined by the origin", "/ws/status/403", upgrade),
  get("upgrade: websocket answered with 204", "/ws/no-content", upgrade),
  get("upgrade: websocket answered with a redirect", "/ws/redirect", upgrade),
  get("upgrade: websocket, the origin is gone", "/ws/close", upgrade),
  get("upgrade: websocket where the route does not allow it", "/e", upgrade),
  get("upgrade: Websocket in capitals with more in Connection", "/ws/status/200", [
    "Connection: keep-alive, UPGRADE",
    "Upgrade: WebSocket",
  ]),
  get("upgrade: another protocol", "/ws/e", ["Connection: Upgrade", "Upgrade: foo"]),
  get("upgrade: h2c is ignored", "/e", ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"]),
  raw("upgrade: websocket with Content-Length", request("GET", "/ws/status/200", [...upgrade, "Content-Length: 3"], "abc")),
  raw("upgrade: websocket by POST", request("POST", "/ws/status/200", [...upgrade])),
  raw(
    "connect: terminated, bytes both ways",
    ["CONNECT tcp:80 HTTP/1.1\r\nHost: tcp:80\r\n\r\n", { until: "200" }, "ping", { until: "ping" }],
    {
      listener: "tunnel",
      fin: true,
    },
  ),
  raw("connect: terminated, no such route", "GET / HTTP/1.1\r\nHost: tcp:80\r\n\r\n", { listener: "tunnel" }),
  raw("connect: passed on to the origin, which has no tunnel", ["CONNECT lab:80 HTTP/1.1\r\nHost: lab:80\r\n\r\n", 30, "ping"], {
    listener: "tunnel",
  }),
  raw("connect: authority differs from Host", "CONNECT a:80 HTTP/1.1\r\nHost: b:80\r\n\r\n", { listener: "main" }),
  raw("connect: without a port", "CONNECT lab HTTP/1.1\r\nHost: lab\r\n\r\n", { listener: "main" }),
  raw("connect: a path for a target", "CONNECT /x HTTP/1.1\r\nHost: lab\r\n\r\n", { listener: "main" }),
  raw("connect: Content-Length is no body", "CONNECT lab:80 HTTP/1.1\r\nHost: lab:80\r\nContent-Length: 5\r\n\r\nhello", {
    listener: "main",
  }),
  raw("connection: max_requests_per_connection 2", request("GET", "/e?1") + request("GET", "/e?2") + request("GET", "/e?3"), {
    listener: "edge",
    replies: 2,
    records: 2,
  }),
  raw("connection: idle timeout after an answer", [request("GET", "/e"), 700], { listener: "edge" }),
  raw("connection: client half-closes behind its request", [request("GET", "/to/route")], { fin: true }),
  raw("connection: client half-closes, answer at once", [request("GET", "/e")], { fin: true }),
  raw("connection: a bad request behind a good one", request("GET", "/e") + "BAD\r\n\r\n", { replies: 2, records: 2 }),
  raw("connection: Connection: close and keep-alive together", request("GET", "/e", ["Connection: close, keep-alive"])),
];
