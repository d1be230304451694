// The load generator process: keeps a number of connections to one proxy busy for a while and counts what came back right.
// Before it says that it has started, every connection has passed one full check of an answer.
import net from "node:net";
import type { Socket } from "node:net";
import tls from "node:tls";
import type { Http2Traffic, Traffic } from "../benchmark.ts";
import type { LoadEvent, RunLoad } from "./messages.ts";
import { Http2LoadConnection } from "./http2-connection.ts";
import { bulkBlock, bulkByteAt, chainRequests, http1Body, http1LastByte, http1Request, pingPong, serverName } from "./payload.ts";

/** What a connection reports to the run it belongs to. */
interface Run {
  units: number;
  measuring: boolean;
  ended: boolean;
  ready(): void;
  failed(reason: string): void;
}

/** Full checks of an answer happen once per this many; in between only its end is looked at. */
const checkEvery = 1000;

/** Connecting and the first answers must take no longer than this. */
const startDeadlineMs = 5000;

process.on("disconnect", () => process.exit(0));
process.on("message", (message: RunLoad) => {
  void runLoad(message).then(
    (event) => say(event),
    (thrown: unknown) => say({ kind: "failed", reason: thrown instanceof Error ? thrown.message : String(thrown) }),
  );
});

async function runLoad(load: RunLoad): Promise<LoadEvent> {
  const sockets: Socket[] = [];
  const failure = Promise.withResolvers<never>();
  const ready = Promise.withResolvers<void>();
  // A failure after the run has ended (the proxy resetting what we closed) is nobody's concern.
  failure.promise.catch(() => undefined);
  let waiting = load.connections;
  const run: Run = {
    units: 0,
    measuring: false,
    ended: false,
    ready: () => --waiting === 0 && ready.resolve(),
    failed: (reason) => failure.reject(new Error(reason)),
  };
  const deadline = setTimeout(() => run.failed(`${waiting} of ${load.connections} connections got no right answer`), startDeadlineMs);
  try {
    if (load.traffic === "tls-handshake") for (let index = 0; index < load.connections; index++) handshakes(load, run, sockets, index);
    else for (let index = 0; index < load.connections; index++) sockets.push(open(load, load.traffic, run));
    await Promise.race([ready.promise, failure.promise]);
    clearTimeout(deadline);
    run.units = 0;
    run.measuring = true;
    const startedAt = performance.now();
    say({ kind: "started" });
    await Promise.race([new Promise((resolve) => setTimeout(resolve, load.durationMs)), failure.promise]);
    run.measuring = false;
    return { kind: "finished", units: run.units, seconds: (performance.now() - startedAt) / 1000 };
  } finally {
    clearTimeout(deadline);
    run.ended = true;
    for (const socket of sockets) socket.destroy();
  }
}

function open(load: RunLoad, traffic: Exclude<Traffic, "tls-handshake">, run: Run): Socket {
  const socket = connect(load, traffic, run);
  socket.on("error", (error) => run.failed(error.message));
  socket.on("close", () => run.failed("the proxy closed a connection"));
  return socket;
}

function connect(load: RunLoad, traffic: Exclude<Traffic, "tls-handshake">, run: Run): Socket {
  const to = { host: "127.0.0.1", port: load.port };
  switch (traffic) {
    case "http1":
      return requests(net.connect({ ...to, noDelay: true }), run, [http1Request]);
    case "http-chain":
      return requests(net.connect({ ...to, noDelay: true }), run, chainRequests);
    case "http2":
    case "grpc":
      return http2(net.connect({ ...to, noDelay: true }), traffic, load.streams, run);
    case "tcp-rtt":
      return roundTrips(net.connect({ ...to, noDelay: true }), run);
    case "tcp-bulk": {
      const take = bulk(run);
      const buffer = new Uint8Array(1 << 20);
      return net.connect({ ...to, onread: { buffer, callback: (length) => take(buffer, length) } });
    }
    case "sni-bulk": {
      const take = bulk(run);
      const socket = tls.connect({ ...to, servername: serverName, ca: load.certificate.certificate });
      return socket.on("data", (chunk: Buffer) => void take(chunk, chunk.length));
    }
    case "tls-request":
      return requests(mutualTls(load), run, [http1Request]);
    case "tls-download": {
      const take = bulk(run);
      return mutualTls(load).on("data", (chunk: Buffer) => void take(chunk, chunk.length));
    }
    case "tls-upload":
      return upload(mutualTls(load), run);
  }
}

// No session is offered, so the handshake is a full one.
function mutualTls({ port, mesh }: RunLoad): Socket {
  const { root, certificate, key } = mesh;
  const secureContext = (contexts[root] ??= tls.createSecureContext({ ca: root, cert: certificate, key, minVersion: "TLSv1.3" }));
  return tls.connect({ host: "127.0.0.1", port, servername: serverName, secureContext }).setNoDelay(true);
}

/** A context for each root: parsing keys for each connection would slow the client down. */
const contexts: Record<string, tls.SecureContext> = {};

// One connection after the other. It counts when the proxy has closed it without an error: a client that is done says nothing
// of whether the proxy took its certificate, an alert would.
function handshakes(load: RunLoad, run: Run, sockets: Socket[], slot: number): void {
  let first = true;
  const next = (): void => {
    if (run.ended) return;
    let secure = false;
    const socket = mutualTls(load);
    sockets[slot] = socket;
    socket.once("secureConnect", () => {
      secure = true;
      socket.end();
    });
    socket.on("error", (error) => run.failed(error.message));
    socket.on("close", () => {
      if (!secure) return run.failed("the proxy closed a connection during its handshake");
      if (first) run.ready();
      first = false;
      run.units++;
      next();
    });
    socket.resume();
  };
  next();
}

// Counts what has left the client; the upstream says that the first piece came right and hangs up at a wrong one.
function upload(socket: Socket, run: Run): Socket {
  const fill = (): void => {
    if (socket.destroyed) return;
    socket.write(bulkBlock, () => {
      run.units += bulkBlock.length;
      fill();
    });
  };
  socket.once("data", () => run.ready());
  return socket.once("secureConnect", () => {
    fill();
    fill();
  });
}

// Every connection asks the whole list again and again, each from another place in it.
let connectionsOpened = 0;

function requests(socket: Socket, run: Run, list: readonly Buffer[]): Socket {
  let answers = 0;
  let held = "";
  let next = (connectionsOpened++ * 7) % list.length;
  const ask = (): void => {
    socket.write(list[next]!);
    if (++next === list.length) next = 0;
  };
  socket.on(socket instanceof tls.TLSSocket ? "secureConnect" : "connect", ask);
  return socket.on("data", (chunk) => {
    const whole = chunk[chunk.length - 1] === http1LastByte;
    if (answers % checkEvery === 0) {
      held += chunk.toString("latin1");
      if (whole && !(held.startsWith("HTTP/1.1 200 ") && held.endsWith(`\r\n\r\n${http1Body}`))) {
        run.failed(`a wrong answer: ${JSON.stringify(held.slice(0, 300))}`);
      }
    }
    if (!whole) return;
    held = "";
    if (answers++ === 0) run.ready();
    run.units++;
    ask();
  });
}

function http2(socket: Socket, traffic: Http2Traffic, streams: number, run: Run): Socket {
  let first = true;
  const answered = (): void => {
    if (first) run.ready();
    first = false;
    run.units++;
  };
  void new Http2LoadConnection(socket, traffic, streams, { answered, failed: (reason) => run.failed(reason) });
  return socket;
}

function roundTrips(socket: Socket, run: Run): Socket {
  let missing = pingPong.length;
  let answers = 0;
  socket.on("connect", () => socket.write(pingPong));
  return socket.on("data", (chunk) => {
    if (
      answers % checkEvery === 0 &&
      !pingPong
        .subarray(pingPong.length - missing)
        .subarray(0, chunk.length)
        .equals(chunk)
    ) {
      run.failed("the echo differs from what was sent");
    }
    missing -= chunk.length;
    if (missing > 0) return;
    if (missing < 0) run.failed("more came back than was sent");
    missing = pingPong.length;
    if (answers++ === 0) run.ready();
    run.units++;
    socket.write(pingPong);
  });
}

// Looks at the first and the last byte of each piece: a lost, repeated or reordered piece moves the stream against its pattern.
function bulk(run: Run): (chunk: Uint8Array, length: number) => boolean {
  let position = 0;
  return (chunk, length) => {
    if (chunk[0] !== bulkByteAt(position) || chunk[length - 1] !== bulkByteAt(position + length - 1)) {
      run.failed(`the bulk data differs near byte ${position}`);
    }
    if (position === 0) run.ready();
    position += length;
    run.units += length;
    return true;
  };
}

function say(event: LoadEvent): void {
  process.send?.(event);
}
