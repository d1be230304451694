// Envoy's ways of writing a share, all brought to 0..1 (FractionalPercent) or 0..100 (Percent).
import type { Decoder } from "./decode/cursor.ts";
import { message } from "./decode/message.ts";
import { double, enumeration, uint32 } from "./decode/scalars.ts";

/** type.v3.Percent: 0..100. */
export const decodePercent: Decoder<number> = message("envoy.type.v3.Percent", (m) => {
  const value = m.field("value", double, 0);
  if (value < 0 || value > 100) m.at.error(`expected 0 to 100, got ${value}`, "value");
  return value;
});

const denominator = enumeration({ HUNDRED: 0, TEN_THOUSAND: 1, MILLION: 2 });
const denominators = { HUNDRED: 100, TEN_THOUSAND: 10_000, MILLION: 1_000_000 };

/** type.v3.FractionalPercent as a share of 0..1; more than the whole is the whole, as in Envoy. */
export const decodeFractionalPercent: Decoder<number> = message("envoy.type.v3.FractionalPercent", (m) =>
  Math.min(1, m.field("numerator", uint32, 0) / denominators[m.field("denominator", denominator, "HUNDRED")]),
);

/** core.v3.RuntimeFractionalPercent: its default, for there is no runtime layer to override it. */
export const decodeRuntimeShare: Decoder<number> = message("envoy.config.core.v3.RuntimeFractionalPercent", (m) => {
  m.accept("runtime_key");
  return m.required("default_value", decodeFractionalPercent);
});

/** A share as it was written, for whoever compares numerators. */
export interface WrittenPercent {
  readonly numerator: number;
  readonly denominator: number;
}

/** type.v3.FractionalPercent as it is written. */
export const decodeWrittenPercent: Decoder<WrittenPercent> = message("envoy.type.v3.FractionalPercent", (m) => ({
  numerator: m.field("numerator", uint32, 0),
  denominator: denominators[m.field("denominator", denominator, "HUNDRED")],
}));
