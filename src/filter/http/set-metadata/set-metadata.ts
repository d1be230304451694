// envoy.filters.http.set_metadata: puts dynamic metadata from the configuration on each request, for RBAC, logs and the like.
import type { MetadataEntry, SetMetadataConfig } from "../../../envoy/http-filter/set-metadata.ts";
import type { HttpFilter, HttpFilterContext, HttpFilterSpec } from "../../../http/filter.ts";
import type { Counter } from "../../../telemetry/stats.ts";
import type { StreamInfo } from "../../../telemetry/stream-info.ts";
import { mergeStruct } from "./merge-struct.ts";

/** The filter that sets metadata. */
export const setMetadata: HttpFilterSpec = {
  extension: "envoy.filters.http.set_metadata",
  create: (config, context) => createSetMetadata(config as SetMetadataConfig, context),
};

// What routes say comes after what the filter says, and is counted apart, as in Envoy.
function createSetMetadata(config: SetMetadataConfig, context: HttpFilterContext): HttpFilter {
  const denied = context.scope.counter("set_metadata.overwrite_denied");
  const deniedByRoute = context.stats.counter("set_metadata.overwrite_denied");
  const { filterName } = context;
  return {
    onRequestHeaders: (stream) => {
      apply(config.metadata, stream.info, denied);
      const override = stream.route?.filterConfig(filterName)?.config as SetMetadataConfig | undefined;
      if (override !== undefined) apply(override.metadata, stream.info, deniedByRoute);
      return "continue";
    },
  };
}

function apply(entries: readonly MetadataEntry[], info: StreamInfo, denied: Counter): void {
  for (const { namespace, allowOverwrite, value } of entries) {
    const metadata = (info.dynamicMetadata ??= new Map());
    const before = metadata.get(namespace);
    if (before === undefined) metadata.set(namespace, value);
    else if (allowOverwrite) metadata.set(namespace, mergeStruct(before, value));
    else denied.inc();
  }
}
