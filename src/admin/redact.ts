// Configuration without its secrets: key material and passwords never leave the process by way of admin.

const redacted = "[redacted]";

/** Fields whose whole value is secret, in the spellings of proto JSON and of the decoded models. */
const secretFields = new Set([
  "private_key",
  "privatekey",
  "password",
  "hmac_secret",
  "token_secret",
  "client_secret",
  "session_ticket_keys",
  "generic_secret",
  "pkcs12",
  "private_key_provider",
]);

/** A symmetric key or private part in a JWKS, or a PEM private key, wherever they stand. */
const secretText = /PRIVATE KEY-----|"kty"\s*:\s*"oct"|"d"\s*:\s*"/;

/** A deep copy without secrets. */
export function redact(value: unknown): unknown {
  if (typeof value === "string") return secretText.test(value) ? redacted : value;
  if (Array.isArray(value)) return value.map(redact);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, isSecret(key) ? redacted : redact(field)]));
}

const isSecret = (key: string): boolean =>
  secretFields.has(key.toLowerCase()) || secretFields.has(key.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`));
