// Envoy's core.v3.Http2ProtocolOptions, of either side.
import { message } from "./decode/message.ts";
import { bool, duration, integer, uint32 } from "./decode/scalars.ts";
import { decodePercent } from "./percent.ts";

/** How HTTP/2 is spoken. */
export interface Http2Options {
  /** HPACK tables, bytes. Default 4096. */
  readonly headerTableBytes: number;
  /** Default 1024. */
  readonly maxConcurrentStreams: number;
  /** Default 16 MiB. */
  readonly streamWindowBytes: number;
  /** Default 24 MiB. */
  readonly connectionWindowBytes: number;
  /** Extended CONNECT (RFC 8441). */
  readonly allowConnect: boolean;
  /** Default 10,000. */
  readonly maxOutboundFrames: number;
  /** Default 1000. */
  readonly maxOutboundControlFrames: number;
  /** Default 1. */
  readonly maxConsecutiveEmptyFrames: number;
  /** Default 100. */
  readonly maxPriorityFramesPerStream: number;
  /** Default 10. */
  readonly maxWindowUpdatesPerDataFrame: number;
  /** override_stream_error_on_invalid_http_message: a malformed message ends its stream, not the connection. */
  readonly malformedEndsStream: boolean;
  /** connection_keepalive.interval, 0 = none. */
  readonly keepaliveIntervalMs: number;
  readonly keepaliveTimeoutMs: number;
  /** interval_jitter as a share of the interval. Default 0.15. */
  readonly keepaliveJitter: number;
  /** connection_idle_interval, 0 = none. */
  readonly keepaliveIdleMs: number;
}

/** Envoy's defaults (since 1.35 with bounded windows). */
export const defaultHttp2Options: Http2Options = {
  headerTableBytes: 4096,
  maxConcurrentStreams: 1024,
  streamWindowBytes: 16 * 1024 * 1024,
  connectionWindowBytes: 24 * 1024 * 1024,
  allowConnect: false,
  maxOutboundFrames: 10_000,
  maxOutboundControlFrames: 1000,
  maxConsecutiveEmptyFrames: 1,
  maxPriorityFramesPerStream: 100,
  maxWindowUpdatesPerDataFrame: 10,
  malformedEndsStream: false,
  keepaliveIntervalMs: 0,
  keepaliveTimeoutMs: 0,
  keepaliveJitter: 0.15,
  keepaliveIdleMs: 0,
};

const decodeKeepalive = message("envoy.config.core.v3.KeepaliveSettings", (m) => ({
  keepaliveIntervalMs: m.field("interval", duration, 0),
  keepaliveTimeoutMs: m.required("timeout", duration),
  keepaliveJitter: m.field("interval_jitter", decodePercent, 15) / 100,
  keepaliveIdleMs: m.field("connection_idle_interval", duration, 0),
}));

const noKeepalive = { keepaliveIntervalMs: 0, keepaliveTimeoutMs: 0, keepaliveJitter: 0.15, keepaliveIdleMs: 0 };

const largest = 0x7fff_ffff;

/** Http2ProtocolOptions. */
export const decodeHttp2Options = message("envoy.config.core.v3.Http2ProtocolOptions", (m): Http2Options => {
  const defaults = defaultHttp2Options;
  m.accept("use_oghttp2_codec", "max_metadata_size");
  const keepalive = m.field("connection_keepalive", decodeKeepalive, noKeepalive);
  const onlyStream = m.field("stream_error_on_invalid_http_messaging", bool, false);
  return {
    headerTableBytes: m.field("hpack_table_size", uint32, defaults.headerTableBytes),
    maxConcurrentStreams: m.field("max_concurrent_streams", integer(1, largest), defaults.maxConcurrentStreams),
    streamWindowBytes: m.field("initial_stream_window_size", integer(65_535, largest), defaults.streamWindowBytes),
    connectionWindowBytes: m.field("initial_connection_window_size", integer(65_535, largest), defaults.connectionWindowBytes),
    allowConnect: m.field("allow_connect", bool, false),
    maxOutboundFrames: m.field("max_outbound_frames", integer(1, 0xffff_ffff), defaults.maxOutboundFrames),
    maxOutboundControlFrames: m.field("max_outbound_control_frames", integer(1, 0xffff_ffff), defaults.maxOutboundControlFrames),
    maxConsecutiveEmptyFrames: m.field("max_consecutive_inbound_frames_with_empty_payload", uint32, defaults.maxConsecutiveEmptyFrames),
    maxPriorityFramesPerStream: m.field("max_inbound_priority_frames_per_stream", uint32, defaults.maxPriorityFramesPerStream),
    maxWindowUpdatesPerDataFrame: m.field(
      "max_inbound_window_update_frames_per_data_frame_sent",
      integer(1, 0xffff_ffff),
      defaults.maxWindowUpdatesPerDataFrame,
    ),
    malformedEndsStream: m.field("override_stream_error_on_invalid_http_message", bool, onlyStream),
    ...keepalive,
  };
});
