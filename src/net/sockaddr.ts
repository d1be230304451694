// Linux' sockaddr_in and sockaddr_in6, both ways. No I/O.
import { isIPv6 } from "node:net";

/** An address as the kernel holds it. */
export interface KernelAddress {
  readonly ip: string;
  readonly port: number;
}

/** AF_INET and AF_INET6. */
export const addressFamily = { 4: 2, 6: 10 } as const;

/** Size of a sockaddr_in6, the larger of the two. */
export const sockaddrBytes = 28;
const sockaddrInBytes = 16;

/** Reads a `sockaddr_in` or `sockaddr_in6`. */
export function decodeSockaddr(bytes: Uint8Array): KernelAddress {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  // sa_family is in host order, ports and addresses in network order.
  const family = new Uint16Array(bytes.slice(0, 2).buffer)[0];
  const port = view.getUint16(2);
  if (family === addressFamily[4]) return { ip: `${view.getUint8(4)}.${view.getUint8(5)}.${view.getUint8(6)}.${view.getUint8(7)}`, port };
  const groups = Array.from({ length: 8 }, (_, i) => view.getUint16(8 + 2 * i).toString(16));
  return { ip: new URL(`tcp://[${groups.join(":")}]`).hostname.slice(1, -1), port };
}

/** Writes one for a valid IP address; the result's length says which. A zone of an IPv6 address is left out. */
export function encodeSockaddr({ ip, port }: KernelAddress): Uint8Array<ArrayBuffer> {
  const six = isIPv6(ip);
  // An explicit ArrayBuffer never moves, small typed arrays may.
  const bytes = new Uint8Array(new ArrayBuffer(six ? sockaddrBytes : sockaddrInBytes));
  new Uint16Array(bytes.buffer)[0] = addressFamily[six ? 6 : 4];
  const view = new DataView(bytes.buffer);
  view.setUint16(2, port);
  if (six) for (const [i, group] of ipv6Groups(ip).entries()) view.setUint16(8 + 2 * i, group);
  else for (const [i, part] of ip.split(".").entries()) view.setUint8(4 + i, Number(part));
  return bytes;
}

// The URL parser writes an address with hexadecimal groups alone; what `::` stands for is filled in here.
function ipv6Groups(ip: string): readonly number[] {
  const text = new URL(`tcp://[${ip.replace(/%.*$/, "")}]`).hostname.slice(1, -1);
  const [left = "", right] = text.split("::");
  const parse = (part: string): readonly number[] => (part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16)));
  const [before, after] = [parse(left), parse(right ?? "")];
  return [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after];
}
