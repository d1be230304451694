// The messages of Envoy's service.ratelimit.v3.RateLimitService.
import type { Descriptor } from "../../../http/route/rate-limit.ts";
import { isHeaderName, isHeaderValue } from "../../../wire/header-text.ts";
import { readStruct } from "../../../wire/proto-struct.ts";
import { lastBytes, lastInteger, type ProtoField, ProtoWriter, readProto } from "../../../wire/protobuf.ts";

/** Method of the service. */
export const shouldRateLimitPath = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

/** RateLimitRequest. */
export function encodeRateLimitRequest(domain: string, descriptors: readonly Descriptor[]): Buffer {
  const message = new ProtoWriter().text(1, domain);
  for (const { entries, limit } of descriptors) {
    const descriptor = new ProtoWriter();
    // Header bytes are latin1 here; a proto text has to be UTF-8, and what is not stays as it reads.
    for (const { key, value } of entries) descriptor.entry(1, key, Buffer.from(value, "latin1").toString("utf8"));
    if (limit !== undefined) descriptor.message(2, new ProtoWriter().integer(1, limit.requestsPerUnit).integer(2, limit.unit));
    message.message(2, descriptor);
  }
  return message.finish();
}

/** A header that the service asks for; lower case and latin1. */
export type ServiceHeader = readonly [name: string, value: string];

/** How much one descriptor has left. */
export interface DescriptorStatus {
  readonly limit: { readonly name: string; readonly requestsPerUnit: number; readonly unit: number } | undefined;
  readonly remaining: number;
  readonly resetSeconds: number;
}

/** RateLimitResponse. */
export interface RateLimitAnswer {
  readonly overLimit: boolean;
  readonly statuses: readonly DescriptorStatus[];
  readonly responseHeaders: readonly ServiceHeader[];
  readonly requestHeaders: readonly ServiceHeader[];
  /** Latin1. */
  readonly body: string;
  readonly metadata: Readonly<Record<string, unknown>> | undefined;
}

const overLimit = 2;

/** Reads a RateLimitResponse; undefined when the bytes are none. */
export function decodeRateLimitResponse(bytes: Buffer): RateLimitAnswer | undefined {
  const fields = readProto(bytes);
  if (fields === undefined) return undefined;
  return {
    overLimit: lastInteger(fields, 1) === overLimit,
    statuses: fields.filter(({ field }) => field === 2).map((each) => readStatus(each.bytes)),
    responseHeaders: readHeaders(fields, 3),
    requestHeaders: readHeaders(fields, 4),
    body: lastBytes(fields, 5).toString("latin1"),
    metadata: fields.some(({ field }) => field === 6) ? readStruct(lastBytes(fields, 6)) : undefined,
  };
}

function readStatus(bytes: Buffer): DescriptorStatus {
  const fields = readProto(bytes);
  const limit = fields?.some(({ field }) => field === 2) ? readProto(lastBytes(fields, 2)) : undefined;
  return {
    limit: limit && {
      name: lastBytes(limit, 3).toString("latin1"),
      requestsPerUnit: lastInteger(limit, 1),
      unit: lastInteger(limit, 2),
    },
    remaining: lastInteger(fields, 3),
    resetSeconds: lastInteger(readProto(lastBytes(fields, 4)), 1),
  };
}

/** Fields that are no headers are left out. */
function readHeaders(fields: readonly ProtoField[], number: number): readonly ServiceHeader[] {
  return fields.flatMap(({ field, bytes }): readonly ServiceHeader[] => {
    if (field !== number) return [];
    const header = readProto(bytes);
    const raw = lastBytes(header, 3);
    const name = lastBytes(header, 1).toString("latin1").toLowerCase();
    const value = (raw.length > 0 ? raw : lastBytes(header, 2)).toString("latin1");
    return isHeaderName(name) && isHeaderValue(value) ? [[name, value]] : [];
  });
}

// Seconds of envoy's RateLimit.Unit, by number; the first stands for none.
const unitSeconds = [0, 1, 60, 3600, 86_400, 2_592_000, 31_536_000];

/** `x-ratelimit-*` (draft-polli-ratelimit-headers-03) by the descriptor that has least left. */
export function rateLimitHeaders(statuses: readonly DescriptorStatus[]): readonly ServiceHeader[] {
  let least: DescriptorStatus | undefined;
  let policy = "";
  for (const status of statuses) {
    const { limit } = status;
    if (limit === undefined) continue;
    if (least === undefined || status.remaining < least.remaining) least = status;
    const window = unitSeconds[limit.unit] ?? 0;
    if (window > 0) policy += `, ${limit.requestsPerUnit};w=${window}${limit.name === "" ? "" : `;name="${limit.name}"`}`;
  }
  if (least === undefined) return [];
  return [
    ["x-ratelimit-limit", `${least.limit!.requestsPerUnit}${policy}`],
    ["x-ratelimit-remaining", String(least.remaining)],
    ["x-ratelimit-reset", String(least.resetSeconds)],
  ];
}
