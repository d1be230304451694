// The server name by which a mesh's clients ask an east-west gateway for a service: `outbound_.PORT_.SUBSET_.HOST`. Text in,
// parts out; whether the service exists is the caller's question.

/** What such a name says. */
export interface SniName {
  readonly port: number;
  /** Empty when the name asks for no subset. */
  readonly subset: string;
  readonly host: string;
}

/** What every such name starts with. */
const sniNamePrefix = "outbound_.";

const cut = "_.";
const portNumber = /^[1-9][0-9]{0,4}$/;
const hostName = /^[a-z0-9_*-]+(?:\.[a-z0-9_-]+)*$/;

/** The parts of a lower-case name, or undefined when it is no such name: three cuts at `_.`, and none left in the host. */
export function parseSniName(name: string): SniName | undefined {
  if (!name.startsWith(sniNamePrefix)) return undefined;
  const afterPort = name.indexOf(cut, sniNamePrefix.length);
  if (afterPort < 0) return undefined;
  const afterSubset = name.indexOf(cut, afterPort + cut.length);
  if (afterSubset < 0) return undefined;
  const port = name.slice(sniNamePrefix.length, afterPort);
  const host = name.slice(afterSubset + cut.length);
  if (!portNumber.test(port) || Number(port) > 65_535 || host.includes(cut) || !hostName.test(host)) return undefined;
  return { port: Number(port), subset: name.slice(afterPort + cut.length, afterSubset), host };
}
