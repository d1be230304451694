// Header fields that programs usually send, by both of their usual spellings, with how the HTTP/1 parser treats them: the usual
// field then costs one Map lookup and neither validation nor lower-casing.

/** How a field is treated while parsing; fields that are not known are kept. */
export const fieldKind = {
  keep: 0,
  host: 1,
  contentLength: 2,
  transferEncoding: 3,
  connection: 4,
  upgrade: 5,
  drop: 6,
  te: 7,
  expect: 8,
  join: 9,
} as const;

/** A field by its canonical, lower-case name. */
export interface KnownField {
  readonly name: string;
  /** One of `fieldKind`. */
  readonly kind: number;
}

const special: Readonly<Record<string, number>> = {
  host: fieldKind.host,
  "content-length": fieldKind.contentLength,
  "transfer-encoding": fieldKind.transferEncoding,
  connection: fieldKind.connection,
  upgrade: fieldKind.upgrade,
  "keep-alive": fieldKind.drop,
  "proxy-connection": fieldKind.drop,
  te: fieldKind.te,
  expect: fieldKind.expect,
};

const words = (text: string): readonly string[] => text.trim().split(/\s+/);

// Envoy keeps these as single "inline" fields and joins repeats by a comma; all others stay apart.
const joined = words(`
  accept accept-encoding authorization cache-control content-type user-agent via referer origin x-forwarded-for
  x-forwarded-proto x-forwarded-host x-forwarded-client-cert x-request-id grpc-timeout x-envoy-attempt-count
  x-envoy-external-address x-envoy-internal x-envoy-original-path x-envoy-decorator-operation
`);

const plain = words(`
  accept-charset accept-language access-control-request-headers access-control-request-method age allow alt-svc
  content-disposition content-encoding content-language content-location content-range content-security-policy cookie
  date dnt etag expires forwarded from grpc-encoding grpc-status grpc-message if-match if-modified-since if-none-match
  if-range if-unmodified-since last-modified link location max-forwards pragma priority proxy-authenticate
  proxy-authorization range retry-after sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user sec-websocket-accept
  sec-websocket-extensions sec-websocket-key sec-websocket-protocol sec-websocket-version server server-timing
  set-cookie strict-transport-security traceparent tracestate trailer upgrade-insecure-requests vary warning
  www-authenticate x-b3-flags x-b3-parentspanid x-b3-sampled x-b3-spanid x-b3-traceid x-content-type-options
  x-envoy-expected-rq-timeout-ms x-envoy-max-retries x-envoy-original-host x-envoy-retry-on
  x-envoy-upstream-rq-timeout-ms x-envoy-upstream-service-time x-forwarded-port x-frame-options x-powered-by x-real-ip
  x-xss-protection access-control-allow-origin access-control-allow-credentials access-control-allow-headers
  access-control-allow-methods access-control-expose-headers access-control-max-age
`);

/** Known fields by name, in lower case and in Title-Case. */
export const knownFields: ReadonlyMap<string, KnownField> = new Map(
  [
    ...Object.entries(special).map(([name, kind]): KnownField => ({ name, kind })),
    ...joined.map((name): KnownField => ({ name, kind: fieldKind.join })),
    ...plain.map((name): KnownField => ({ name, kind: fieldKind.keep })),
  ].flatMap((field) => [
    [field.name, field],
    [field.name.replace(/(^|-)[a-z]/g, (start) => start.toUpperCase()), field],
  ]),
);
