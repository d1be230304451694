// Envoy core.v3.RuntimeFeatureFlag: its default, for there is no runtime layer to override it.
import type { Decoder } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { bool } from "../decode/scalars.ts";

/** RuntimeFeatureFlag. */
export const decodeFeatureFlag: Decoder<boolean> = message("envoy.config.core.v3.RuntimeFeatureFlag", (m) => {
  m.accept("runtime_key");
  return m.required("default_value", bool);
});
