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

/** Closes with RST where the socket can (plain TCP), otherwise at once. Never throws, unlike `resetAndDestroy` on a pipe. */
export function resetSocket(socket: Socket): void {
  if (!socket.destroyed && !socket.connecting && typeof handleOf(socket)?.reset === "function") socket.resetAndDestroy();
  else socket.destroy();
}
