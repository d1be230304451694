// The buckets of one limit: the one for everything, and those of descriptors. Envoy's order of taking tokens.
import type { Clock } from "../../../clock.ts";
import type { LocalDescriptor, LocalRateLimitConfig, TokenBucket as TokenBucketModel } from "../../../envoy/http-filter/local-ratelimit.ts";
import type { Descriptor, DescriptorEntry } from "../../../http/route/rate-limit.ts";
import { TokenBucket } from "./token-bucket.ts";

/** Whether a request may go on, and the bucket that tells the client how much is left. */
export interface Taken {
  readonly allowed: boolean;
  readonly bucket: TokenBucket | undefined;
}

/** Buckets that fill with time. */
export class LocalLimiter {
  readonly #shared: TokenBucket | undefined;
  readonly #alwaysShared: boolean;
  readonly #exact = new Map<string, TokenBucket>();
  readonly #open: readonly OpenDescriptor[];

  constructor(model: LocalRateLimitConfig, clock: Clock) {
    this.#shared = model.tokenBucket && new TokenBucket(model.tokenBucket, clock);
    this.#alwaysShared = model.alwaysConsumeDefault;
    const open: OpenDescriptor[] = [];
    for (const descriptor of model.descriptors) {
      if (descriptor.entries.some(({ value }) => value === ""))
        open.push(new OpenDescriptor(descriptor, model.maxDynamicDescriptors, clock));
      else this.#exact.set(keyOf(descriptor.entries), new TokenBucket(descriptor.tokenBucket, clock));
    }
    this.#open = open;
  }

  /** Takes a token of every bucket that counts for a request, the slowest first, until one has none. */
  take(descriptors: readonly Descriptor[]): Taken {
    const buckets = descriptors.flatMap(({ entries }) => this.#bucketOf(entries) ?? []);
    if (buckets.length > 1) buckets.sort((a, b) => a.tokensPerMs - b.tokensPerMs);
    for (const bucket of buckets) if (!bucket.take()) return { allowed: false, bucket };
    const [first] = buckets;
    const shared = this.#shared;
    if (shared === undefined || (first !== undefined && !this.#alwaysShared)) return { allowed: true, bucket: first };
    return shared.take() ? { allowed: true, bucket: first ?? shared } : { allowed: false, bucket: shared };
  }

  #bucketOf(entries: readonly DescriptorEntry[]): TokenBucket | undefined {
    const exact = this.#exact.get(keyOf(entries));
    if (exact !== undefined) return exact;
    for (const open of this.#open) {
      const bucket = open.bucketOf(entries);
      if (bucket !== undefined) return bucket;
    }
    return undefined;
  }
}

/** A descriptor with open values: a bucket for each that comes, so many at most. */
class OpenDescriptor {
  readonly #entries: LocalDescriptor["entries"];
  readonly #bucket: TokenBucketModel;
  readonly #limit: number;
  readonly #clock: Clock;
  /** In the order of their last use. */
  readonly #buckets = new Map<string, TokenBucket>();

  constructor({ entries, tokenBucket }: LocalDescriptor, limit: number, clock: Clock) {
    this.#entries = entries;
    this.#bucket = tokenBucket;
    this.#limit = limit;
    this.#clock = clock;
  }

  /** Undefined where the entries are none of this descriptor's. */
  bucketOf(entries: readonly DescriptorEntry[]): TokenBucket | undefined {
    if (!isOfDescriptor(this.#entries, entries)) return undefined;
    const key = keyOf(entries);
    const buckets = this.#buckets;
    const bucket = buckets.get(key) ?? new TokenBucket(this.#bucket, this.#clock);
    buckets.delete(key);
    buckets.set(key, bucket);
    if (buckets.size > this.#limit) for (const [oldest] of buckets) return (buckets.delete(oldest), bucket);
    return bucket;
  }
}

/** Whether a request's entries are those of a limit's descriptor, an empty value of which stands for any. */
export function isOfDescriptor(own: LocalDescriptor["entries"], entries: readonly DescriptorEntry[]): boolean {
  if (entries.length !== own.length) return false;
  for (let i = 0; i < own.length; i++) {
    const { key, value } = own[i]!;
    if (entries[i]!.key !== key || (value !== "" && entries[i]!.value !== value)) return false;
  }
  return true;
}

// Neither keys nor header values have NUL.
const keyOf = (entries: readonly DescriptorEntry[]): string => entries.map(({ key, value }) => `${key}\0${value}`).join("\0");
