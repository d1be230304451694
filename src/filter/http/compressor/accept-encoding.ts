// Which content coding a response gets: what the client accepts, by weight, of what the compressors of the chain offer.

/** A compressor of the chain. */
export interface Offer {
  readonly coding: string;
  /** It would compress this response's media type. */
  readonly suits: (mediaType: string) => boolean;
  readonly chooseFirst: boolean;
}

/** What was chosen, with the name of the counter that says why. */
export interface Choice {
  readonly coding: string;
  readonly why: "no_accept_header" | "header_not_valid" | "header_identity" | "header_wildcard" | "chosen";
}

const identity = "identity";
const noHeader: Choice = { coding: identity, why: "no_accept_header" };
const notValid: Choice = { coding: identity, why: "header_not_valid" };
const wantsIdentity: Choice = { coding: identity, why: "header_identity" };

const weightPattern = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

interface Accepted {
  readonly coding: string;
  readonly weight: number;
}

/** The list in an Accept-Encoding; members whose weight is no number are left out. */
function readList(accept: string): readonly Accepted[] {
  return accept.split(",").flatMap((member): readonly Accepted[] => {
    if (member === "") return [];
    const [name = "", ...parameters] = member.split(";");
    const [key = "", ...value] = parameters.join(";").split("=");
    if (value.length === 0 || key.trim().toLowerCase() !== "q") return [{ coding: name.trim(), weight: 1 }];
    const weight = value.join("=").trim();
    return weightPattern.test(weight) ? [{ coding: name.trim(), weight: Number(weight) }] : [];
  });
}

/**
 * Chooses as Envoy does.
 * @param accept the request's Accept-Encoding
 * @param offers in the order of configuration
 * @param mediaType of the response, empty when it has none
 */
export function chooseCoding(accept: string | undefined, offers: readonly Offer[], mediaType: string): Choice {
  if (accept === undefined) return noHeader;
  const offered = new Map<string, boolean>();
  for (const { coding, suits, chooseFirst } of offers) {
    if (suits(mediaType) && !offered.has(coding)) offered.set(coding, chooseFirst);
  }
  const list = readList(accept);
  for (const { coding, weight } of list) if (weight === 0) offered.delete(coding);
  if (offered.size === 0) return notValid;
  let best: Accepted = { coding: identity, weight: 0 };
  for (const accepted of list) {
    const { coding, weight } = accepted;
    const known = offered.has(coding) || coding === identity || coding === "*";
    if (known && (weight > best.weight || (weight === best.weight && weight > 0 && offered.get(coding) === true))) best = accepted;
  }
  if (best.weight === 0) return notValid;
  if (best.coding === identity) return wantsIdentity;
  if (best.coding !== "*") return { coding: best.coding, why: "chosen" };
  const [first] = offered.keys();
  return { coding: first ?? identity, why: "header_wildcard" };
}
