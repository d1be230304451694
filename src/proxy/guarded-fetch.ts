// Fetches what a URL in somebody's configuration points at, without letting that URL reach what only this machine may: addresses
// of the link, where cloud providers hand out credentials, are refused however they are written or resolved.
import { type LookupAddress, promises as dns } from "node:dns";
import http from "node:http";
import https from "node:https";
import { BlockList, isIP, type LookupFunction } from "node:net";

/** How to fetch. */
export interface GuardedFetchOptions {
  /** Of the whole, redirects included. */
  readonly timeoutMs: number;
  readonly maxBytes: number;
  /** Addresses of a host name; default: this system's. */
  readonly resolve?: (hostname: string) => Promise<readonly LookupAddress[]>;
  /** Certificates to trust beside the usual ones, PEM. */
  readonly ca?: string;
}

// As many as Go's client follows.
const maxRedirects = 10;

/** The body of a 200; rejects with an Error that says why there is none. */
export async function guardedFetch(address: string, options: GuardedFetchOptions): Promise<Buffer> {
  const signal = AbortSignal.timeout(options.timeoutMs);
  let url = address;
  for (let hops = 0; hops <= maxRedirects; hops++) {
    const answer = await fetchOnce(parseUrl(url), options, signal).catch((thrown: unknown) => {
      throw signal.aborted ? new Error(`no answer within ${options.timeoutMs} ms`) : thrown;
    });
    if (answer.kind === "body") return answer.body;
    url = new URL(answer.location, url).href;
  }
  throw new Error(`more than ${maxRedirects} redirects`);
}

function parseUrl(text: string): URL {
  if (!URL.canParse(text)) throw new Error(`"${text}" is no URL`);
  const url = new URL(text);
  if (url.protocol !== "http:" && url.protocol !== "https:") throw new Error(`scheme ${url.protocol} is refused, expected http or https`);
  return url;
}

type Fetched = { readonly kind: "body"; readonly body: Buffer } | { readonly kind: "redirect"; readonly location: string };

function fetchOnce(url: URL, options: GuardedFetchOptions, signal: AbortSignal): Promise<Fetched> {
  // The WHATWG parser has brought every spelling of an IPv4 address (hex, octal, one number) into its usual form.
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const refused = refusedHosts.has(host.toLowerCase().replace(/\.$/, "")) || (isIP(host) !== 0 && isRefusedAddress(host));
  if (refused) return Promise.reject(new Error(`${host} is refused: it is an address of the link or a cloud's metadata service`));
  const { request } = url.protocol === "https:" ? https : http;
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      { method: "GET", headers: { accept: "application/json" }, lookup: guardedLookup(options), agent: false, signal, ca: options.ca },
      (response) => {
        const status = response.statusCode ?? 0;
        const { location } = response.headers;
        if (status >= 300 && status < 400 && location !== undefined) {
          response.destroy();
          return resolve({ kind: "redirect", location });
        }
        if (status !== 200) {
          response.destroy();
          return reject(new Error(`status ${status}`));
        }
        const pieces: Buffer[] = [];
        let bytes = 0;
        response.on("data", (piece: Buffer) => {
          bytes += piece.length;
          if (bytes > options.maxBytes) response.destroy(new Error(`the answer is larger than ${options.maxBytes} bytes`));
          else pieces.push(piece);
        });
        response.on("end", () => resolve({ kind: "body", body: Buffer.concat(pieces) }));
        response.on("error", reject);
      },
    );
    sent.on("error", reject);
    sent.end();
  });
}

/** Resolves at the moment of connecting, so that a name cannot be one address when checked and another when used. */
function guardedLookup({ resolve = resolveBySystem }: GuardedFetchOptions): LookupFunction {
  return (hostname, options, done) => {
    const look = async (): Promise<void> => {
      const found = await addressesOf(hostname, resolve);
      if (found instanceof Error) done(found, []);
      else if (options.all === true) done(null, [...found]);
      else done(null, found[0]!.address, found[0]!.family);
    };
    void look();
  };
}

/** At least one address, or why there is none to go to. */
async function addressesOf(
  hostname: string,
  resolve: NonNullable<GuardedFetchOptions["resolve"]>,
): Promise<readonly LookupAddress[] | Error> {
  try {
    const found = await resolve(hostname);
    const refused = found.find(({ address }) => isRefusedAddress(address));
    if (refused !== undefined) return new Error(`${hostname} is refused: it resolves to ${refused.address}`);
    return found.length === 0 ? new Error(`${hostname} has no address`) : found;
  } catch (thrown) {
    return thrown instanceof Error ? thrown : new Error(String(thrown));
  }
}

const resolveBySystem = (hostname: string): Promise<readonly LookupAddress[]> => dns.lookup(hostname, { all: true });

// Names of metadata services, beside their addresses.
const refusedHosts: ReadonlySet<string> = new Set(["metadata", "metadata.google.internal", "metadata.goog", "instance-data"]);

const refusedRanges = new BlockList();
// RFC 3927 and RFC 4291: the link; AWS, Azure, GCP and others answer at 169.254.169.254.
refusedRanges.addSubnet("169.254.0.0", 16, "ipv4");
refusedRanges.addSubnet("fe80::", 10, "ipv6");
// Metadata services elsewhere: AWS over IPv6, Alibaba Cloud, Oracle Cloud.
refusedRanges.addAddress("fd00:ec2::254", "ipv6");
refusedRanges.addAddress("100.100.100.200", "ipv4");
refusedRanges.addSubnet("192.0.0.192", 32, "ipv4");
// "This host" and groups are nobody to ask.
refusedRanges.addSubnet("0.0.0.0", 8, "ipv4");
refusedRanges.addAddress("::", "ipv6");
refusedRanges.addSubnet("224.0.0.0", 4, "ipv4");
refusedRanges.addSubnet("ff00::", 8, "ipv6");

/** True for addresses that configuration must not lead to. */
export function isRefusedAddress(address: string): boolean {
  const [bare = ""] = address.split("%");
  const family = isIP(bare);
  if (family === 4) return refusedRanges.check(bare, "ipv4");
  if (family !== 6) return true;
  // IPv4 inside IPv6 (mapped, NAT64, 6to4): judged as the IPv4 address.
  const inner = innerIpv4(bare);
  return refusedRanges.check(bare, "ipv6") || (inner !== undefined && refusedRanges.check(inner, "ipv4"));
}

function innerIpv4(address: string): string | undefined {
  const groups = expandIpv6(address);
  const dotted = (high: number, low: number): string => `${high >> 8}.${high & 0xff}.${low >> 8}.${low & 0xff}`;
  const zeros = (from: number, to: number): boolean => groups.slice(from, to).every((group) => group === 0);
  if (zeros(0, 5) && (groups[5] === 0xffff || groups[5] === 0)) return dotted(groups[6]!, groups[7]!);
  if (groups[0] === 0x64 && groups[1] === 0xff9b) return dotted(groups[6]!, groups[7]!);
  return groups[0] === 0x2002 ? dotted(groups[1]!, groups[2]!) : undefined;
}

/** The eight groups of an IPv6 address. */
function expandIpv6(address: string): readonly number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const text =
    dotted === null
      ? address
      : `${dotted[1]}${((Number(dotted[2]) << 8) | Number(dotted[3])).toString(16)}:${((Number(dotted[4]) << 8) | Number(dotted[5])).toString(16)}`;
  const [head = "", tail] = text.split("::");
  const read = (part: string): number[] => (part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16)));
  const [left, right] = [read(head), read(tail ?? "")];
  return tail === undefined ? left : [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right];
}
