// Records as they reach the file: formats, filters, rotation, and what happens when the file cannot keep up.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, suite, test } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import type { Clock } from "../../../src/clock.ts";
import { defaultAccessLogText } from "../../../src/envoy/access-log.ts";
import type { AccessLog, AccessLogFilter, JsonFormat } from "../../../src/envoy/access-log.ts";
import { createAccessLoggers } from "../../../src/telemetry/access-log.ts";
import { LogSinks } from "../../../src/telemetry/access-log/sink.ts";
import type { LogFields, Logger } from "../../../src/telemetry/logger.ts";
import { flag } from "../../../src/telemetry/response-flag.ts";
import { StatsSlab } from "../../../src/telemetry/stats-slab.ts";
import { StatsReader } from "../../../src/telemetry/stats/stats-reader.ts";
import { ConnectionInfo, StreamInfo } from "../../../src/telemetry/stream-info.ts";
import { httpStream, recordOf } from "./streams.ts";

let folder: string;
let sinks: LogSinks;
let reader: StatsReader;
let slab: StatsSlab;
let complaints: [string, LogFields | undefined][];
const quiet: Logger = { debug: () => undefined, info: () => undefined, warn: complain, error: complain, child: () => quiet };

function complain(message: string, fields?: LogFields): void {
  complaints.push([message, fields]);
}

function open(options: { readonly clock?: Clock; readonly maxBufferedBytes?: number } = {}): void {
  sinks = new LogSinks({ clock: systemClock, stats: slab.root, logger: quiet, flushIntervalMs: 5, ...options });
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "access-log-"));
  complaints = [];
  reader = new StatsReader();
  slab = new StatsSlab((announcement) => reader.add("w", announcement));
  open();
});
afterEach(() => {
  sinks.closeSync();
  rmSync(folder, { recursive: true });
});

const path = (): string => join(folder, "a.log");
const written = (): string => readFileSync(path(), "latin1");

function log(config: Partial<AccessLog>, ...streams: readonly StreamInfo[]): string {
  const [logger] = createAccessLoggers(
    [{ path: path(), format: { kind: "text", text: defaultAccessLogText }, omitEmptyValues: false, ...config }],
    { sinks, logger: quiet },
  );
  for (const info of streams) logger?.log(info);
  sinks.closeSync();
  return written();
}

const json = (format: JsonFormat): Partial<AccessLog> => ({ format: { kind: "json", json: format } });

suite("formats", () => {
  test("the default text is Envoy's line", () => {
    assert.equal(
      log({}, httpStream()),
      '[2026-11-21T09:50:36.389Z] "GET /original HTTP/1.1" 200 URX,UF 5 272 17 - "-" "-" "id-1" "lab" "127.0.0.1:18080"\n',
    );
  });

  test("JSON sorts keys, keeps types of single operators, and writes null for what is missing", () => {
    const line = log(
      json({
        z: "%PROTOCOL%",
        a: "%RESPONSE_CODE%",
        m: "x %REQ(nope)% y",
        n: "%REQ(nope)%",
        o: { k: "%BYTES_SENT%", b: "%UPSTREAM_PEER_SUBJECT%" },
        l: ["%DURATION%", "a"],
        num: 3,
        t: true,
        d: "%DYNAMIC_METADATA(a:o)%",
      }),
      httpStream(),
    );
    assert.equal(line, '{"a":200,"d":{"n":12},"l":[17,"a"],"m":"x - y","n":null,"num":3,"o":{"b":null,"k":272},"t":true,"z":"HTTP/1.1"}\n');
  });

  test("omit_empty_values leaves out what is missing", () => {
    assert.equal(
      log(
        {
          ...json({ z: "%PROTOCOL%", m: "x %REQ(nope)% y", n: "%REQ(nope)%", e: "%REQ(x-empty)%", o: { k: "%REQ(nope)%" } }),
          omitEmptyValues: true,
        },
        httpStream(),
      ),
      '{"e":"","m":"x  y","z":"HTTP/1.1"}\n',
    );
  });

  test("JSON holds any bytes of a header in one valid line", () => {
    const info = httpStream();
    info.requestHeaders?.set("x-c", 'q"\\\n\xc3\xa9');
    info.requestHeaders?.set("x-d", "\xff\xfe");
    const line = log(json({ c: "%REQ(x-c)%", d: "a%REQ(x-d)%" }), info);
    assert.equal(line.split("\n").length, 2);
    assert.deepEqual(JSON.parse(Buffer.from(line, "latin1").toString("utf8")), { c: 'q"\\\né', d: "aÿþ" });
  });

  test("headers keep their bytes in text", () => {
    const info = httpStream();
    info.requestHeaders?.set("x-c", "\xc3\xa9\xff");
    assert.equal(log({ format: { kind: "text", text: "ü %REQ(x-c)%\n" } }, info), "\xc3\xbc \xc3\xa9\xff\n");
  });

  test("a log whose format is wrong is left out and reported, the others stand", () => {
    const loggers = createAccessLoggers(
      [
        { path: path(), format: { kind: "text", text: "%NOPE%" }, omitEmptyValues: false },
        { path: path(), format: { kind: "text", text: "ok\n" }, omitEmptyValues: false },
        { path: path(), format: { kind: "json", json: { a: { b: "%NOPE%" } } }, omitEmptyValues: false },
      ],
      { sinks, logger: quiet },
    );
    assert.equal(loggers.length, 1);
    assert.deepEqual(
      complaints.map(([, fields]) => fields?.["problems"]),
      [["unknown command operator %NOPE%"], ["a.b: unknown command operator %NOPE%"]],
    );
  });
});

suite("filters", () => {
  const flagged = httpStream();
  const clean = httpStream();
  clean.flags = 0;
  clean.responseCode = 503;
  clean.endMs = clean.startMs + 100;
  const tcp = new StreamInfo(new ConnectionInfo(1, 0, 1, { ip: "127.0.0.1", port: 1 }, { ip: "127.0.0.1", port: 2 }), 0, 1);
  tcp.flags = flag.NR;
  tcp.endMs = 1.5;
  const header = (value: string): AccessLogFilter => ({
    kind: "header",
    header: {
      name: "x-c",
      match: { kind: "string", matcher: { kind: "prefix", value, ignoreCase: false } },
      invertMatch: false,
      treatMissingHeaderAsEmpty: false,
    },
  });
  const atLeast500: AccessLogFilter = { kind: "status_code", op: "GE", value: 500 };
  for (const [title, filter, expected] of [
    ["status at least", atLeast500, "503"],
    ["status equal", { kind: "status_code", op: "EQ", value: 200 }, "200"],
    ["duration at most", { kind: "duration", op: "LE", value: 17 }, "200 0"],
    ["any flag", { kind: "response_flag", flags: [] }, "200 0"],
    ["these flags", { kind: "response_flag", flags: ["NR", "DC"] }, "0"],
    ["a header", header('a"'), "200 503"],
    ["another header", header("b"), ""],
    ["not a health check", { kind: "not_health_check" }, "200 503 0"],
    ["and", { kind: "and", filters: [atLeast500, header("a")] }, "503"],
    ["or", { kind: "or", filters: [atLeast500, { kind: "response_flag", flags: ["NR"] }] }, "503 0"],
  ] as const satisfies readonly (readonly [string, AccessLogFilter, string])[]) {
    test(title, () => {
      const lines = log({ format: { kind: "text", text: "%RESPONSE_CODE% " }, filter }, flagged, clean, tcp);
      assert.equal(lines.trim(), expected);
    });
  }
});

suite("sinks", () => {
  const until = async (holds: () => boolean): Promise<void> => {
    for (const end = Date.now() + 5000; !holds();) {
      assert.ok(Date.now() < end, "timed out");
      await new Promise((resolve) => setImmediate(resolve));
    }
  };

  test("records are in the file after the flush interval, without closing", async () => {
    sinks.get(path()).append(recordOf("one\n"));
    sinks.get(path()).append(recordOf("two\n"));
    assert.equal(written(), "");
    await until(() => written() === "one\ntwo\n");
    slab.flush();
    assert.equal(reader.value("filesystem.write_buffered"), 2);
    await until(() => reader.value("filesystem.write_completed") === 1);
  });

  test("64 KiB are written at once", async () => {
    open({ clock: { ...systemClock, after: () => ({ cancel: () => undefined }) } });
    const record = `${"x".repeat(1023)}\n`;
    for (let i = 0; i < 64; i++) sinks.get(path()).append(recordOf(record));
    await until(() => written().length === 65_536);
  });

  test("a path has one sink", () => {
    assert.equal(sinks.get(path()), sinks.get(path()));
  });

  test("drops whole records when the file cannot keep up, counts them and says so once", () => {
    open({ maxBufferedBytes: 10 });
    const sink = sinks.get(path());
    for (const record of ["1234\n", "5678\n", "9\n", "10\n"]) sink.append(recordOf(record));
    sinks.closeSync();
    slab.flush();
    assert.equal(written(), "1234\n5678\n");
    assert.equal(reader.value("filesystem.write_dropped"), 2);
    assert.equal(complaints.length, 1);
  });

  test("goes on in a new file after a reopen", async () => {
    const sink = sinks.get(path());
    sink.append(recordOf("old\n"));
    await until(() => written() === "old\n");
    renameSync(path(), `${path()}.1`);
    sinks.reopen();
    await until(() => {
      try {
        return written() === "";
      } catch {
        return false; // not created yet
      }
    });
    sink.append(recordOf("new\n"));
    await until(() => written() === "new\n");
    assert.equal(readFileSync(`${path()}.1`, "latin1"), "old\n");
  });

  test("notices by itself that the file was renamed", async () => {
    // The clock runs a second further at every reading, so that each flush looks.
    let now = 0;
    open({ clock: { ...systemClock, nowMs: () => (now += 1001) } });
    const sink = sinks.get(path());
    sink.append(recordOf("old\n"));
    await until(() => written() === "old\n");
    renameSync(path(), `${path()}.1`);
    let lines = 0;
    await until(() => {
      if (lines++ % 50 === 0) sink.append(recordOf("new\n"));
      try {
        return written().startsWith("new\n");
      } catch {
        return false; // not created yet
      }
    });
  });

  test("a file that cannot be opened costs its records, nothing else", async () => {
    const sink = sinks.get(join(folder, "none", "a.log"));
    sink.append(recordOf("lost\n"));
    slab.flush();
    await until(() => reader.value("filesystem.write_dropped") === 1);
    assert.equal(complaints[0]?.[0], "access log cannot be opened, its records are dropped");
  });

  test("what waits is written when the thread closes its sinks", async () => {
    sinks.get(path()).append(recordOf("last\n"));
    await sinks.close(1000);
    assert.equal(written(), "last\n");
  });
});
