// Every table of filter cases: asked of this proxy alone, and beside Envoy.
import { addressMatchCases } from "./address-match.ts";
import { bufferCases } from "./buffer.ts";
import { csrfCases } from "./csrf.ts";
import { faultCases } from "./fault.ts";
import { headerMutationCases } from "./header-mutation.ts";
import { healthCheckCases } from "./health-check.ts";
import { localReplyCases } from "./local-reply.ts";
import { setMetadataCases } from "./set-metadata.ts";

/** All of them. */
export const filterCases = [
  ...addressMatchCases,
  bufferCases,
  csrfCases,
  ...faultCases,
  ...headerMutationCases,
  healthCheckCases,
  ...localReplyCases,
  setMetadataCases,
];
