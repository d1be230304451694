// One admin answer, before it is HTTP.

/** Status, type and body. */
export interface Page {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

const plain = "text/plain; charset=UTF-8";

/** A text answer, 200 unless said otherwise. */
export const text = (body: string, status = 200): Page => ({ status, contentType: plain, body });

/** A JSON answer: a value, indented by one space as Envoy's are, or text that is JSON already. */
export const json = (value: unknown): Page => ({
  status: 200,
  contentType: "application/json",
  body: typeof value === "string" ? value : `${JSON.stringify(value, null, 1)}\n`,
});

/** A query that cannot be answered. */
export const badRequest = (body: string): Page => text(body, 400);
