// HTTPRoute of a VirtualService: its matches and the one thing it does with a request.
import { readDuration } from "../../object/duration.ts";
import type { Fields } from "../../object/fields.ts";
import { readDestination, readWeight, type RouteDestination } from "./destination.ts";
import { type HttpMatch, readHttpMatch } from "./http-match.ts";
import {
  type CorsRules,
  type FaultInjection,
  type HeaderRules,
  type Mirror,
  readCors,
  readFault,
  readHeaderRules,
  readMirrors,
  readRetries,
  type Retries,
} from "./http-policy.ts";

/** HTTPRouteDestination. */
export interface HttpDestination extends RouteDestination {
  readonly headers: HeaderRules;
}

/** HTTPRedirect. */
export interface Redirect {
  readonly kind: "redirect";
  readonly uri: string;
  readonly authority: string;
  readonly scheme: string;
  /** A port, the one the request came in by, or the scheme's own when nothing is said. */
  readonly port: number | "from-request" | "of-protocol" | undefined;
  readonly code: 301 | 302 | 303 | 307 | 308;
}

/** HTTPDirectResponse; the body as text or base64. */
export interface DirectResponse {
  readonly kind: "direct-response";
  readonly status: number;
  readonly body?: { readonly kind: "text" | "base64"; readonly value: string };
}

/** HTTPRewrite. */
export interface Rewrite {
  /** In place of the matched path or prefix; empty leaves it. */
  readonly uri: string;
  readonly authority: string;
  readonly regex?: { readonly match: string; readonly rewrite: string };
}

/** Where a request goes. */
export interface Forward {
  readonly kind: "forward";
  readonly destinations: readonly HttpDestination[];
  readonly rewrite?: Rewrite;
  /** proto3 JSON duration; undefined is no timeout. */
  readonly timeout?: string;
  /** Undefined: Istio's own. */
  readonly retries?: Retries;
  readonly mirrors: readonly Mirror[];
}

/** The routes of another VirtualService, and what holds for those of them that do not say otherwise. */
export interface Delegate extends Omit<Forward, "kind"> {
  readonly kind: "delegate";
  readonly name: string;
  /** Empty: the VirtualService's own. */
  readonly namespace: string;
}

/** What a route does itself. */
export type HttpAction = Redirect | DirectResponse | Forward;

/** HTTPRoute; as written it may leave its action to another VirtualService. */
export interface HttpRoute<Action = HttpAction> {
  readonly name: string;
  /** Empty matches every request. */
  readonly matches: readonly HttpMatch[];
  readonly action: Action;
  readonly headers: HeaderRules;
  readonly fault?: FaultInjection;
  readonly cors?: CorsRules;
}

/** Reads an HTTPRoute. */
export function readHttpRoute(item: Fields): HttpRoute<HttpAction | Delegate> {
  const fault = item.child("fault");
  const cors = item.child("corsPolicy");
  const route = {
    name: item.string("name") ?? "",
    matches: item.list("match", readHttpMatch),
    action: readAction(item),
    headers: readHeaderRules(item),
    ...(fault === undefined ? {} : { fault: readFault(fault) }),
    ...(cors === undefined ? {} : { cors: readCors(cors) }),
  };
  item.finish();
  return route;
}

function readAction(item: Fields): HttpAction | Delegate {
  const redirect = item.child("redirect");
  const response = item.child("directResponse");
  const destinations = item.list("route", readHttpDestination);
  const forward = readForward(item, destinations);
  const delegate = item.child("delegate");
  const given = [redirect, response, delegate, destinations.length > 0 ? item : undefined].filter((each) => each !== undefined).length;
  if (given === 0) item.error("route", "is missing, expected a destination, a redirect, a directResponse or a delegate");
  if (given > 1) item.error("route", "says more than one thing, expected one of route, redirect, directResponse and delegate");
  if (destinations.length > 1 && destinations.every((each) => each.weight === 0))
    item.error("route", "shares nothing out, expected weights above 0");
  if (redirect !== undefined) return readRedirect(redirect);
  if (response !== undefined) return readDirectResponse(response);
  if (delegate !== undefined) return readDelegate(delegate, forward);
  return forward;
}

function readDelegate(item: Fields, defaults: Forward): Delegate {
  const delegate = { ...defaults, kind: "delegate" as const, name: item.requiredString("name"), namespace: item.string("namespace") ?? "" };
  item.finish();
  return delegate;
}

function readForward(item: Fields, destinations: readonly HttpDestination[]): Forward {
  const rewrite = item.child("rewrite");
  const retries = item.child("retries");
  const timeout = readDuration(item, "timeout");
  return {
    kind: "forward",
    destinations,
    ...(rewrite === undefined ? {} : { rewrite: readRewrite(rewrite) }),
    ...(timeout === undefined ? {} : { timeout }),
    ...(retries === undefined ? {} : { retries: readRetries(retries) }),
    mirrors: readMirrors(item),
  };
}

function readHttpDestination(item: Fields): HttpDestination {
  const destination = { ...readDestination(item, "destination"), weight: readWeight(item), headers: readHeaderRules(item) };
  item.finish();
  return destination;
}

function readRewrite(item: Fields): Rewrite {
  const regex = item.child("uriRegexRewrite");
  const rewrite = {
    uri: item.string("uri") ?? "",
    authority: item.string("authority") ?? "",
    ...(regex === undefined ? {} : { regex: { match: regex.requiredString("match"), rewrite: regex.string("rewrite") ?? "" } }),
  };
  regex?.finish();
  item.finish();
  return rewrite;
}

const redirectCodes = [301, 302, 303, 307, 308] as const;

function readRedirect(item: Fields): Redirect {
  const code = item.integer("redirectCode", { min: 301, max: 308 }) ?? 301;
  const known = redirectCodes.find((each) => each === code);
  if (known === undefined) item.error("redirectCode", `is ${code}, expected one of ${redirectCodes.join(", ")}`);
  const derived = item.oneOf("derivePort", ["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"]);
  const redirect = {
    kind: "redirect" as const,
    uri: item.string("uri") ?? "",
    authority: item.string("authority") ?? "",
    scheme: item.string("scheme") ?? "",
    port:
      item.port("port") ??
      (derived === undefined ? undefined : derived === "FROM_REQUEST_PORT" ? ("from-request" as const) : ("of-protocol" as const)),
    code: known ?? 301,
  };
  item.finish();
  return redirect;
}

function readDirectResponse(item: Fields): DirectResponse {
  const status = item.integer("status", { min: 200, max: 599 });
  if (status === undefined && !item.has("status")) item.error("status", "is missing, expected an HTTP status from 200 to 599");
  const body = item.child("body");
  const text = body?.string("string");
  const base64 = body?.string("bytes");
  body?.finish();
  item.finish();
  return {
    kind: "direct-response",
    status: status ?? 0,
    ...(text === undefined ? {} : { body: { kind: "text" as const, value: text } }),
    ...(text !== undefined || base64 === undefined ? {} : { body: { kind: "base64" as const, value: base64 } }),
  };
}
