// Certificates and validation of one TLS context with its SDS references filled in, and whether that changed since the
// last handshake. Secrets rotate by publish; nothing here watches files.
import type { CommonTlsContext, Secret, TlsCertificate, ValidationContext } from "../../envoy/tls/tls.ts";
import type { Versioned } from "../../snapshot/update.ts";
import type { SecretLookup } from "../secret-store.ts";

/** What a handshake needs of the configuration. */
export interface Material {
  readonly certificates: readonly TlsCertificate[];
  readonly validation: ValidationContext | undefined;
}

/** The material of one context, resolved anew when a secret it names changes. */
export class MaterialSource {
  readonly #common: CommonTlsContext;
  readonly #secrets: SecretLookup;
  readonly #names: readonly string[];
  #seen: readonly (Versioned<Secret> | undefined)[] | undefined;
  #material: Material | undefined;

  constructor(common: CommonTlsContext, secrets: SecretLookup) {
    this.#common = common;
    this.#secrets = secrets;
    this.#names =
      common.validationSecret === undefined ? common.certificateSecrets : [...common.certificateSecrets, common.validationSecret];
  }

  /** The current material, the same object until a secret changes; undefined while a secret is missing. */
  get(): Material | undefined {
    if (this.#seen !== undefined && this.#names.every((name, i) => this.#secrets.get(name) === this.#seen?.[i])) return this.#material;
    this.#seen = this.#names.map((name) => this.#secrets.get(name));
    this.#material = this.#resolve();
    return this.#material;
  }

  #resolve(): Material | undefined {
    const certificates = [...this.#common.certificates];
    for (const name of this.#common.certificateSecrets) {
      const certificate = this.#secrets.get(name)?.value.certificate;
      if (certificate === undefined) return undefined;
      certificates.push(certificate);
    }
    if (this.#common.validationSecret === undefined) return { certificates, validation: this.#common.validation };
    const validation = this.#secrets.get(this.#common.validationSecret)?.value.validation;
    return validation === undefined ? undefined : { certificates, validation: merge(this.#common.validation, validation) };
  }
}

// Protobuf's merge, as combined_validation_context asks for: lists are joined, single values of the secret win.
function merge(base: ValidationContext | undefined, over: ValidationContext): ValidationContext {
  if (base === undefined) return over;
  const trustedCa = over.trustedCa ?? base.trustedCa;
  const crl = over.crl ?? base.crl;
  return {
    ...(trustedCa === undefined ? {} : { trustedCa }),
    ...(crl === undefined ? {} : { crl }),
    matchSubjectAltNames: [...base.matchSubjectAltNames, ...over.matchSubjectAltNames],
    verifyCertificateHash: [...base.verifyCertificateHash, ...over.verifyCertificateHash],
    verifyCertificateSpki: [...base.verifyCertificateSpki, ...over.verifyCertificateSpki],
    allowExpiredCertificate: base.allowExpiredCertificate || over.allowExpiredCertificate,
    acceptUntrusted: base.acceptUntrusted || over.acceptUntrusted,
  };
}
