// Streams to log: one request with every field filled in.
import { RecordText } from "../../../src/telemetry/access-log/record-text.ts";
import { flag } from "../../../src/telemetry/response-flag.ts";
import { ConnectionInfo, StreamInfo } from "../../../src/telemetry/stream-info.ts";
import type { TlsPeer } from "../../../src/telemetry/stream-info.ts";
import { HeaderMap } from "../../../src/wire/header-map.ts";

/** A verified client. */
export const peer: TlsPeer = {
  version: "TLSv1.3",
  cipher: "TLS_AES_128_GCM_SHA256",
  presented: true,
  validated: true,
  uriSans: ["spiffe://a", "spiffe://b"],
  dnsSans: ["client.lab"],
  subject: "O=lab,CN=client",
  issuer: "O=lab-ca",
  serialNumber: "1f",
  sha256: "abc",
  pem: () => "-----BEGIN CERTIFICATE-----\na+b/c=\n",
  chainPem: () => "",
  localUriSan: "spiffe://me",
  localDnsSans: [],
  localSubject: "CN=me",
  sessionId: "0102",
  details: () => ({
    sha1: "5a1",
    ipSans: ["192.0.2.1"],
    emailSans: ["me@lab"],
    validFromMs: 1_795_254_636_389,
    validToMs: 1_795_341_036_000,
    chain: [
      { sha256: "abc", sha1: "5a1", serialNumber: "1f" },
      { sha256: "def", sha1: "5a2", serialNumber: "2f" },
    ],
    local: { uriSans: ["spiffe://me"], ipSans: [], emailSans: [] },
  }),
};

function headers(fields: Readonly<Record<string, string>>): HeaderMap {
  const map = new HeaderMap();
  for (const [name, value] of Object.entries(fields)) map.add(name, value);
  return map;
}

/** A finished request. */
export function httpStream(): StreamInfo {
  const connection = new ConnectionInfo(7, 1_795_254_636_000, 990, { ip: "192.0.2.9", port: 4444 }, { ip: "10.0.0.1", port: 80 });
  connection.remote = { ip: "2001:db8::1", port: 555 };
  connection.serverName = "a.example.com";
  connection.tls = peer;
  connection.filterState = new Map([["k", "s"]]);
  const info = new StreamInfo(connection, 1_795_254_636_389, 1000);
  Object.assign(info, {
    protocol: "HTTP/1.1",
    method: "GET",
    path: "/d?a=1&b=x%20y",
    authority: "lab",
    scheme: "http",
    requestHeaders: headers({
      "x-envoy-original-path": "/original",
      "x-c": 'a"b\\c',
      "x-empty": "",
      "x-request-id": "id-1",
      "content-type": "application/grpc",
    }),
    responseHeaders: headers({ "x-r": "r" }),
    responseTrailers: headers({ "grpc-status": "5" }),
    responseCode: 200,
    responseCodeDetails: "via upstream x",
    flags: flag.UF | flag.URX,
    bytesReceived: 5,
    bytesSent: 272,
    routeName: "rest",
    virtualHostName: "all",
    upstreamCluster: "a",
    upstreamHost: "127.0.0.1:18080",
    upstreamLocalAddress: "127.0.0.1:4",
    upstreamProtocol: "HTTP/1.1",
    upstreamTransportFailureReason: "delayed connect error: Connection refused",
    attemptCount: 2,
    firstUpstreamTxMs: 1004.2,
    lastDownstreamRxMs: 1002.9,
    firstUpstreamRxMs: 1011.5,
    lastUpstreamRxMs: 1012,
    firstDownstreamTxMs: 1013,
    endMs: 1017.4,
    dynamicMetadata: new Map([["a", { b: "v", o: { n: 12 } }]]),
  });
  return info;
}

/** A record as a logger makes it. */
export function recordOf(text: string): RecordText {
  const record = new RecordText();
  record.text(text);
  return record;
}
