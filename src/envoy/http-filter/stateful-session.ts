// The stateful session filter's configuration: where a request says which host its session belongs to.
import { anyOf, typedExtension, unsupportedType } from "../decode/any.ts";
import type { Decoder } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { bool, duration, headerName, list, nonEmpty, text } from "../decode/scalars.ts";

/** A cookie that is made; attributes beside `Max-Age` and `Path`. */
export interface SessionCookie {
  readonly kind: "cookie";
  readonly name: string;
  /** 0 = until the client ends. */
  readonly ttlMs: number;
  /** Only requests below it have sessions; empty = all, and the cookie names none. */
  readonly path: string;
  readonly attributes: readonly { readonly name: string; readonly value: string }[];
}

/** Where the host of a session is written: base64, as Envoy does. */
export type SessionState = SessionCookie | { readonly kind: "header"; readonly name: string };

/** StatefulSession; without a state it does nothing by itself. */
export interface StatefulSession {
  readonly state?: SessionState;
  /** A session whose host cannot serve is refused in place of going elsewhere; default false. */
  readonly strict: boolean;
}

/** StatefulSessionPerRoute: undefined = disabled. */
export interface StatefulSessionPerRoute {
  readonly session: StatefulSession | undefined;
}

const decodeAttribute = message("envoy.type.http.v3.CookieAttribute", (m) => ({
  name: m.required("name", nonEmpty),
  value: m.field("value", text, ""),
}));

const decodeCookie = message("envoy.type.http.v3.Cookie", (m): SessionCookie => ({
  kind: "cookie",
  name: m.required("name", nonEmpty),
  ttlMs: m.field("ttl", duration, 0),
  path: m.field("path", text, ""),
  attributes: m.field("attributes", list(decodeAttribute), []),
}));

const states: Readonly<Record<string, Decoder<SessionState>>> = {
  "envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState": message(
    "envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState",
    (m) => m.required("cookie", decodeCookie),
  ),
  "envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState": message(
    "envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState",
    (m): SessionState => ({ kind: "header", name: m.required("name", headerName).toLowerCase() }),
  ),
};

const decodeState = typedExtension(
  anyOf<SessionState | undefined>(states, (type, at) => {
    at.error(unsupportedType(type, Object.keys(states)));
    return undefined;
  }),
);

/** StatefulSession. */
export const decodeStatefulSession: Decoder<StatefulSession> = message(
  "envoy.extensions.filters.http.stateful_session.v3.StatefulSession",
  (m) => {
    const state = m.field("session_state", decodeState, undefined);
    return { ...(state && { state }), strict: m.field("strict", bool, false) };
  },
);

/** StatefulSessionPerRoute. */
export const decodeStatefulSessionPerRoute: Decoder<StatefulSessionPerRoute> = message(
  "envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute",
  (m) => ({
    session: m.requiredOneof<StatefulSession | undefined>(
      { disabled: () => undefined, stateful_session: (json, at) => decodeStatefulSession(json, at) },
      undefined,
    ),
  }),
);
