// Every live case.
import type { LiveCase } from "../case.ts";
import { compressionCases } from "./compression.ts";
import { connectionCases } from "./connection.ts";
import { filterCases } from "./filters.ts";
import { formatCases } from "./formats.ts";
import { grpcCases } from "./grpc.ts";
import { headerCases } from "./headers.ts";
import { http1Cases } from "./http1.ts";
import { http2Cases } from "./http2.ts";
import { outlierCases } from "./outlier.ts";
import { pathCases } from "./paths.ts";
import { resilienceCases } from "./resilience.ts";
import { responseCases } from "./responses.ts";
import { routeCases } from "./routes.ts";
import { streamTimerCases } from "./stream-timers.ts";
import { tcpCases } from "./tcp.ts";
import { webCases } from "./web.ts";

/** In the order they run. */
export const cases: readonly LiveCase[] = [
  ...http1Cases,
  ...headerCases,
  ...pathCases,
  ...routeCases,
  ...responseCases,
  ...resilienceCases,
  ...filterCases,
  ...http2Cases,
  ...grpcCases,
  ...connectionCases,
  ...tcpCases,
  ...outlierCases,
  ...formatCases,
  ...compressionCases,
  ...webCases,
  ...streamTimerCases,
];
