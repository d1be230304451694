// Bookinfo in one small program: a page that asks three services, each of which says where it runs. Knows nothing of any mesh.
// usage: bookinfo.ts productpage|reviews|details|ratings [--host 127.0.0.1] [--port 9080] [--cluster NAME] [--version v1]
// Services are asked at http://NAME:9080. reviews v1 has no stars, v2 black ones and v3 red ones.
import http from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { parseArgs } from "node:util";
import { renderPage } from "./bookinfo-page.ts";
import type { Answer, Details, Reviews } from "./bookinfo-page.ts";

/** The port at which the services of Bookinfo are asked, wherever they run. */
const servicePort = 9080;

/** A page is shown without what took longer. */
const deadlineMs = 15_000;

/** No answer of a service is larger. */
const maxBytes = 1 << 20;

/** What is handed on from the page's request, so that routes by user and traces hold further in. */
const forwardedHeaders = ["end-user", "x-request-id", "traceparent"] as const;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string", default: String(servicePort) },
    cluster: { type: "string", default: "cluster1" },
    version: { type: "string", default: "v1" },
  },
});
const [role = ""] = positionals;
const { cluster, version } = values;
const stars = { v1: "no", v2: "black", v3: "red" }[version] ?? "no";

type Service = (request: IncomingMessage, response: ServerResponse) => Promise<void> | void;

const services: Readonly<Record<string, Service>> = {
  productpage: async (request, response) => {
    if (!/^\/(productpage)?(\?|$)/.test(request.url ?? "")) return void response.writeHead(404).end("no such page\n");
    const [details, reviews] = await Promise.all([
      ask<Details>(request, "details", "/details/0"),
      ask<Reviews>(request, "reviews", "/reviews/0"),
    ]);
    const page = renderPage({ cluster, details, reviews });
    response.writeHead(200, { "content-type": "text/html; charset=utf-8", "content-length": Buffer.byteLength(page) }).end(page);
  },
  reviews: async (request, response) => {
    const ratings =
      stars === "no" ? undefined : await ask<{ readonly ratings: Readonly<Record<string, number>> }>(request, "ratings", "/ratings/0");
    const found = ratings !== undefined && "value" in ratings ? ratings.value.ratings : {};
    const review = (reviewer: string, text: string) => ({ reviewer, text, ...(reviewer in found ? { stars: found[reviewer] } : {}) });
    json(response, {
      version,
      cluster,
      stars,
      reviews: [
        review("Reviewer1", "A comedy in which everybody is mistaken for somebody else, and not one of them asks for a certificate."),
        review("Reviewer2", "Two pairs of twins, parted by the sea. They would have met in the first act over an east-west gateway."),
      ],
    });
  },
  details: (_, response) =>
    json(response, { cluster, author: "William Shakespeare", year: 1595, pages: 200, publisher: "PublisherA", language: "English" }),
  ratings: (_, response) => json(response, { cluster, ratings: { Reviewer1: 5, Reviewer2: 4 } }),
};

const service = services[role];
if (service === undefined) {
  process.stderr.write(`bookinfo: expected one of ${Object.keys(services).join(", ")}, got ${role === "" ? "nothing" : role}\n`);
  process.exit(2);
}

const server = http.createServer((request, response) => {
  request.on("error", () => response.destroy());
  response.on("error", () => request.destroy());
  request.resume();
  void service(request, response);
});
server.on("error", (error) => {
  process.stderr.write(`bookinfo: ${error.message}\n`);
  process.exitCode = 1;
});
server.listen(Number(values.port), values.host, () => process.stdout.write(`${role} listens on ${values.host}:${values.port}\n`));
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, () => {
    server.close();
    server.closeAllConnections();
    http.globalAgent.destroy();
  });
}

// The JSON of another service, or one line that says why there is none.
function ask<T>(from: IncomingMessage, host: string, path: string): Promise<Answer<T>> {
  const headers = Object.fromEntries(
    forwardedHeaders.flatMap((name) => (from.headers[name] === undefined ? [] : [[name, from.headers[name]]])),
  );
  return new Promise((resolve) => {
    const failed = (problem: string): void => resolve({ problem: `${host}: ${problem}` });
    const asked = http.get({ host, port: servicePort, path, headers, signal: AbortSignal.timeout(deadlineMs) }, (answer) => {
      const parts: Buffer[] = [];
      let size = 0;
      answer.on("error", (error) => failed(error.message));
      answer.on("data", (part: Buffer) => {
        size += part.length;
        if (size > maxBytes) asked.destroy(new Error("the answer is too large"));
        else parts.push(part);
      });
      answer.on("end", () => {
        const text = Buffer.concat(parts).toString("utf8");
        if (answer.statusCode !== 200) return failed(`${answer.statusCode} ${text.trim().slice(0, 200)}`);
        try {
          resolve({ value: JSON.parse(text) as T });
        } catch (error) {
          failed(error instanceof Error ? error.message : String(error));
        }
      });
    });
    asked.on("error", (error) => failed(error.message));
  });
}

function json(response: ServerResponse, value: unknown): void {
  const body = `${JSON.stringify(value, null, 2)}\n`;
  response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) }).end(body);
}
