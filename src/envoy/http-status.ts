// Envoy type.v3.HttpStatus, by number or by the name of envoy.type.v3.StatusCode.
import type { Decoder } from "./decode/cursor.ts";
import { message } from "./decode/message.ts";
import { integer } from "./decode/scalars.ts";

const statusCode: Decoder<number> = (json, at) => (typeof json === "string" ? namedStatus(json, at) : integer(100, 599)(json, at));

const namedStatus: Decoder<number> = (json, at) => {
  const code = typeof json === "string" && Object.hasOwn(statusNames, json) ? statusNames[json] : undefined;
  if (code === undefined) at.error("expected a member of envoy.type.v3.StatusCode or its number");
  return code ?? 500;
};

// The members of envoy.type.v3.StatusCode that a refusal may want to have; every other is given by number.
const statusNames: Readonly<Record<string, number>> = {
  OK: 200,
  BadRequest: 400,
  Unauthorized: 401,
  PaymentRequired: 402,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  RequestTimeout: 408,
  Conflict: 409,
  Gone: 410,
  UnprocessableEntity: 422,
  Locked: 423,
  FailedDependency: 424,
  TooManyRequests: 429,
  InternalServerError: 500,
  NotImplemented: 501,
  BadGateway: 502,
  ServiceUnavailable: 503,
  GatewayTimeout: 504,
};

/** HttpStatus. */
export const decodeHttpStatus: Decoder<number> = message("envoy.type.v3.HttpStatus", (m) => m.required("code", statusCode), {
  unhandled: "error",
});
