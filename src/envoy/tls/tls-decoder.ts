// Decoders of TLS contexts, secrets and transport sockets. In these messages a field that cannot be honoured is an error: a
// laxer handshake than the one asked for lets in who should be kept out.
import { decodeDataSource, decodePem, decodeTextSource } from "../data-source.ts";
import { anyOf, unsupportedType } from "../decode/any.ts";
import type { Decoder } from "../decode/cursor.ts";
import { emptyMessage, type Fields, message } from "../decode/message.ts";
import { bool, enumeration, list, nonEmpty, text, uint32 } from "../decode/scalars.ts";
import { decodeStringMatcher } from "../string-matcher.ts";
import { decodeSecretReference } from "./secret-reference.ts";
import type {
  CommonTlsContext,
  DownstreamTlsContext,
  DownstreamTransportSocket,
  SanMatcher,
  Secret,
  TlsCertificate,
  TlsVersion,
  UpstreamTlsContext,
  UpstreamTransportSocket,
  ValidationContext,
} from "./tls.ts";

const strict = { unhandled: "error" } as const;
const certificateProviders = "certificate providers; give certificates inline, by file or by secret";

const protocolVersion = enumeration({ TLS_AUTO: 0, TLSv1_0: 1, TLSv1_1: 2, TLSv1_2: 3, TLSv1_3: 4 });
const nodeVersions = { TLSv1_0: "TLSv1", TLSv1_1: "TLSv1.1", TLSv1_2: "TLSv1.2", TLSv1_3: "TLSv1.3" } as const;
const versionOrder: readonly TlsVersion[] = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

function version(m: Fields, name: string): TlsVersion | undefined {
  const value = m.field(name, protocolVersion, "TLS_AUTO");
  return value === "TLS_AUTO" ? undefined : nodeVersions[value];
}

interface TlsParameters {
  readonly minVersion?: TlsVersion;
  readonly maxVersion?: TlsVersion;
  readonly cipherSuites: readonly string[];
  readonly ecdhCurves: readonly string[];
}

const decodeTlsParameters = message(
  "envoy.extensions.transport_sockets.tls.v3.TlsParameters",
  (m): TlsParameters => {
    const minVersion = version(m, "tls_minimum_protocol_version");
    const maxVersion = version(m, "tls_maximum_protocol_version");
    if (minVersion && maxVersion && versionOrder.indexOf(minVersion) > versionOrder.indexOf(maxVersion)) {
      m.at.error(`above the maximum version ${maxVersion}`, "tls_minimum_protocol_version");
    }
    return {
      ...(minVersion && { minVersion }),
      ...(maxVersion && { maxVersion }),
      cipherSuites: m.field("cipher_suites", list(nonEmpty), []),
      ecdhCurves: m.field("ecdh_curves", list(nonEmpty), []),
    };
  },
  strict,
);

/** TlsCertificate: the chain and its key are both needed. */
const decodeTlsCertificate: Decoder<TlsCertificate> = message(
  "envoy.extensions.transport_sockets.tls.v3.TlsCertificate",
  (m) => {
    m.accept("watched_directory");
    m.ignore("signed_certificate_timestamp");
    m.refuse("give certificate_chain and private_key as PEM", "pkcs12");
    m.refuse("private key providers", "private_key_provider");
    return {
      certificateChain: m.required("certificate_chain", decodePem("CERTIFICATE")),
      privateKey: m.required("private_key", decodePem("PRIVATE KEY")),
      ...m.maybe("password", "password", decodeTextSource),
      ...m.maybe("ocspStaple", "ocsp_staple", (json, at) => Buffer.from(decodeDataSource(json, at)).toString("base64")),
    };
  },
  strict,
);

const sanType = enumeration({ SAN_TYPE_UNSPECIFIED: 0, EMAIL: 1, DNS: 2, URI: 3, IP_ADDRESS: 4, OTHER_NAME: 5 });

const decodeSanMatcher: Decoder<SanMatcher> = message(
  "envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher",
  (m) => {
    const type = m.required("san_type", sanType);
    if (type === "OTHER_NAME") m.at.error("not supported: use DNS, URI, EMAIL or IP_ADDRESS", "san_type");
    else if (type === "SAN_TYPE_UNSPECIFIED" && m.has("san_type")) m.at.error("name a type: DNS, URI, EMAIL or IP_ADDRESS", "san_type");
    m.accept("oid");
    return {
      sanType: type === "OTHER_NAME" || type === "SAN_TYPE_UNSPECIFIED" ? ("any" as const) : type,
      matcher: m.required("matcher", decodeStringMatcher),
    };
  },
  strict,
);

const certificateHash: Decoder<string> = (json, at) => {
  const hex = text(json, at).replaceAll(":", "").toLowerCase();
  if (typeof json === "string" && !/^[0-9a-f]{64}$/.test(hex)) at.error("expected a SHA-256 hash as 64 hexadecimal digits");
  return hex;
};
const spkiHash: Decoder<string> = (json, at) => {
  const value = text(json, at);
  if (typeof json === "string" && Buffer.from(value, "base64").length !== 32) at.error("expected the base64 of a SHA-256 hash");
  return value;
};
const trust = enumeration({ VERIFY_TRUST_CHAIN: 0, ACCEPT_UNTRUSTED: 1 });

function validationContext(caMayComeLater: boolean): Decoder<ValidationContext> {
  return message(
    "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext",
    (m) => {
      m.accept("watched_directory");
      m.refuse(certificateProviders, "ca_certificate_provider_instance");
      m.refuse("name the bundle with trusted_ca", "system_root_certs");
      m.refuse("custom validators", "custom_validator_config");
      m.refuse("certificate transparency", "require_signed_certificate_timestamp");
      const typed = m.field("match_typed_subject_alt_names", list(decodeSanMatcher), []);
      const untyped = m.field("match_subject_alt_names", list(decodeStringMatcher), []);
      const context = {
        ...m.maybe("trustedCa", "trusted_ca", decodePem("CERTIFICATE")),
        ...m.maybe("crl", "crl", decodePem("CRL")),
        matchSubjectAltNames: [...typed, ...untyped.map((matcher) => ({ sanType: "any" as const, matcher }))],
        verifyCertificateHash: m.field("verify_certificate_hash", list(certificateHash), []),
        verifyCertificateSpki: m.field("verify_certificate_spki", list(spkiHash), []),
        allowExpiredCertificate: m.field("allow_expired_certificate", bool, false),
        acceptUntrusted: m.field("trust_chain_verification", trust, "VERIFY_TRUST_CHAIN") === "ACCEPT_UNTRUSTED",
      };
      // Envoy refuses this too: names in a certificate that nobody vouches for prove nothing.
      if (context.matchSubjectAltNames.length > 0 && context.trustedCa === undefined && !caMayComeLater) {
        m.at.error("subject alternative names are matched, but there is no trusted_ca to verify the certificate with");
      }
      return context;
    },
    strict,
  );
}

/** CertificateValidationContext. */
const decodeValidationContext = validationContext(false);
const decodeDefaultValidationContext = validationContext(true);

interface Validation {
  readonly validation?: ValidationContext;
  readonly validationSecret?: string;
}

const decodeCombinedValidation: Decoder<Validation> = message(
  "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext.CombinedCertificateValidationContext",
  (m) => {
    m.refuse(certificateProviders, "validation_context_certificate_provider", "validation_context_certificate_provider_instance");
    return {
      validation: m.required("default_validation_context", decodeDefaultValidationContext),
      validationSecret: m.required("validation_context_sds_secret_config", decodeSecretReference),
    };
  },
  strict,
);

const noParameters: TlsParameters = { cipherSuites: [], ecdhCurves: [] };

const decodeCommonTlsContext: Decoder<CommonTlsContext> = message(
  "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext",
  (m) => {
    m.ignore("key_log");
    m.refuse(certificateProviders, "tls_certificate_provider_instance", "tls_certificate_certificate_provider");
    m.refuse(certificateProviders, "tls_certificate_certificate_provider_instance");
    m.refuse(certificateProviders, "validation_context_certificate_provider", "validation_context_certificate_provider_instance");
    m.refuse("custom handshakers", "custom_handshaker");
    return {
      ...m.field("tls_params", decodeTlsParameters, noParameters),
      certificates: m.field("tls_certificates", list(decodeTlsCertificate), []),
      certificateSecrets: m.field("tls_certificate_sds_secret_configs", list(decodeSecretReference), []),
      ...m.oneof<Validation>({
        validation_context: (json, at) => ({ validation: decodeValidationContext(json, at) }),
        validation_context_sds_secret_config: (json, at) => ({ validationSecret: decodeSecretReference(json, at) }),
        combined_validation_context: decodeCombinedValidation,
      }),
      alpnProtocols: m.field("alpn_protocols", list(nonEmpty), []),
    };
  },
  strict,
);

const noCommonContext: CommonTlsContext = { cipherSuites: [], ecdhCurves: [], certificates: [], certificateSecrets: [], alpnProtocols: [] };

/** UpstreamTlsContext. */
export const decodeUpstreamTlsContext: Decoder<UpstreamTlsContext> = message(
  "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
  (m) => {
    m.accept("enforce_rsa_key_usage");
    const common = m.field("common_tls_context", decodeCommonTlsContext, noCommonContext);
    if (common.certificates.length + common.certificateSecrets.length > 1) {
      m.at.error("a client offers one certificate, got several", "common_tls_context");
    }
    return {
      common,
      sni: m.field("sni", text, ""),
      allowRenegotiation: m.field("allow_renegotiation", bool, false),
      maxSessionKeys: m.field("max_session_keys", uint32, 1),
    };
  },
  strict,
);

const ocspPolicy = enumeration({ LENIENT_STAPLING: 0, STRICT_STAPLING: 1, MUST_STAPLE: 2 });

/** DownstreamTlsContext: a server needs a certificate, inline or by secret. */
export const decodeDownstreamTlsContext: Decoder<DownstreamTlsContext> = message(
  "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
  (m) => {
    // Without these a session is resumed less often or by fewer processes, never by someone else.
    m.ignore("session_ticket_keys", "session_ticket_keys_sds_secret_config", "session_timeout", "disable_stateful_session_resumption");
    m.ignore("full_scan_certs_on_sni_mismatch", "prefer_client_ciphers");
    const common = m.required("common_tls_context", decodeCommonTlsContext);
    if (m.has("common_tls_context") && common.certificates.length + common.certificateSecrets.length === 0) {
      m.at.error("a server needs tls_certificates or tls_certificate_sds_secret_configs", "common_tls_context");
    }
    return {
      common,
      requireClientCertificate: m.field("require_client_certificate", bool, false),
      requireSni: m.field("require_sni", bool, false),
      disableStatelessSessionResumption: m.field("disable_stateless_session_resumption", bool, false),
      ocspStaplePolicy: m.field("ocsp_staple_policy", ocspPolicy, "LENIENT_STAPLING"),
    };
  },
  strict,
);

/** Secret. */
export const decodeSecret: Decoder<Secret> = message(
  "envoy.extensions.transport_sockets.tls.v3.Secret",
  (m) => {
    m.refuse("only certificates and validation contexts are", "session_ticket_keys", "generic_secret");
    return {
      name: m.required("name", nonEmpty),
      ...m.maybe("certificate", "tls_certificate", decodeTlsCertificate),
      ...m.maybe("validation", "validation_context", decodeValidationContext),
    };
  },
  strict,
);

const rawBuffer = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";
const upstreamTls = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
const downstreamTls = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
const decodeRawBuffer = emptyMessage("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer");

function transportSocket<T>(types: Readonly<Record<string, Decoder<T>>>, neutral: T): Decoder<T> {
  return message(
    "envoy.config.core.v3.TransportSocket",
    (m) => {
      m.field("name", text, "");
      return m.required(
        "typed_config",
        anyOf(types, (type, at) => {
          at.error(unsupportedType(type, Object.keys(types)));
          return neutral;
        }),
      );
    },
    strict,
  );
}

/** core.v3.TransportSocket of a cluster. */
export const decodeUpstreamTransportSocket: Decoder<UpstreamTransportSocket> = transportSocket<UpstreamTransportSocket>(
  {
    [rawBuffer]: (json, at) => (decodeRawBuffer(json, at), { kind: "raw_buffer" }),
    [upstreamTls]: (json, at) => ({ kind: "tls", tls: decodeUpstreamTlsContext(json, at) }),
  },
  { kind: "raw_buffer" },
);

/** core.v3.TransportSocket of a filter chain. */
export const decodeDownstreamTransportSocket: Decoder<DownstreamTransportSocket> = transportSocket<DownstreamTransportSocket>(
  {
    [rawBuffer]: (json, at) => (decodeRawBuffer(json, at), { kind: "raw_buffer" }),
    [downstreamTls]: (json, at) => ({ kind: "tls", tls: decodeDownstreamTlsContext(json, at) }),
  },
  { kind: "raw_buffer" },
);
