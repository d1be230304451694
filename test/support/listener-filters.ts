// A listener filter with what it counted, and nothing around it.
import type { ListenerFilter, ListenerFilterSpec } from "../../src/filter/filter.ts";
import { recordingStats } from "./recording-stats.ts";
import type { RecordingStats } from "./recording-stats.ts";
import { recordingLogger } from "./tls-models.ts";

/** Creates a filter of this kind. */
export function createListenerFilter(
  spec: ListenerFilterSpec,
  config: unknown = {},
  transparent = false,
): { readonly filter: ListenerFilter; readonly stats: RecordingStats } {
  const stats = recordingStats();
  return { filter: spec.create(config, { stats, logger: recordingLogger(), transparent }), stats };
}
