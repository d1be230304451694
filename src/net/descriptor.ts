// What lies under a Node socket: its descriptor, whether the kernel is read, and RST. Node has no public door to the first two,
// so what is used of the inside stands here alone.
import type { Socket } from "node:net";

interface StreamHandle {
  readonly fd?: number;
  reading?: boolean;
  readStop?(): number;
  /** Only TCP handles can reset. */
  reset?(): number;
}

function handleOf(socket: Socket): StreamHandle | undefined {
  return (socket as unknown as { readonly _handle?: StreamHandle | null })._handle ?? undefined;
}

/** The socket's descriptor, or -1 when it has none (closed, or not a kernel socket). */
export function socketFd(socket: Socket): number {
  const fd = handleOf(socket)?.fd;
  return typeof fd === "number" && fd >= 0 ? fd : -1;
}

/**
 * Stops reading from the kernel at once; `pause` alone lets Node fill the socket's buffer. For a socket that is about to
 * give up its descriptor: the stream does not start reading again afterwards.
 */
export function stopReading(socket: Socket): void {
  const handle = handleOf(socket);
  if (!handle?.readStop) return;
  handle.reading = false;
  handle.readStop();
}

/**
 * Keeps the socket's descriptor open, whoever destroys the socket, until what is returned is called: then a socket that was destroyed
 * meanwhile closes. For someone else who uses the descriptor, whose number would otherwise come to belong to another connection.
 * @param onDestroy the socket is destroyed and waits
 */
export function holdDescriptor(socket: Socket, onDestroy: () => void): () => void {
  const destroy = socket._destroy.bind(socket);
  let held = true;
  let closeNow: (() => void) | undefined;
  socket._destroy = (error, done) => {
    if (!held) return destroy(error, done);
    closeNow = () => destroy(error, done);
    onDestroy();
  };
  return () => {
    held = false;
    closeNow?.();
    closeNow = undefined;
  };
}

/** Closes with RST where the socket can (plain TCP), otherwise at once. Never throws, unlike `resetAndDestroy` on a pipe. */
export function resetSocket(socket: Socket): void {
  if (!socket.destroyed && !socket.connecting && typeof handleOf(socket)?.reset === "function") socket.resetAndDestroy();
  else socket.destroy();
}
