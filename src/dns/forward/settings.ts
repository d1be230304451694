// How other names are asked for upstream: in which order, for how long, and how guarded against forged replies. Plain data.

/** How upstream servers are asked. */
export interface ForwardSettings {
  /**
   * `shuffled`: one by one in random order, as Istio's proxy does; `ordered`: as listed; `parallel`: all at once, the first good
   * reply wins (Istio's DNS_FORWARD_PARALLEL).
   */
  readonly order: "shuffled" | "ordered" | "parallel";
  /** Milliseconds a server gets for one try (Istio's DNS_FORWARD_TIMEOUT). */
  readonly timeoutMs: number;
  /** Milliseconds after which the client has its SERVFAIL, however many servers and tries there were. */
  readonly deadlineMs: number;
  /**
   * Milliseconds instead while all servers are silent: each question then goes to all of them at once. A resolver with a search list
   * asks for a name some ten times over, and is not to wait for the dead each time. Not below `deadlineMs` = never.
   */
  readonly downDeadlineMs: number;
  /** Times the servers that gave no reply are asked again. */
  readonly retries: number;
  /** Queries under way at once; further ones fail at once. Each holds a socket, and a process has 1024 descriptors by default. */
  readonly maxInFlight: number;
  /** A reply cut by UDP is asked for again over TCP, and no server is told to send datagrams that would be fragmented. */
  readonly tcpOnTruncation: boolean;
  /** Cookies (RFC 7873), and thereby EDNS, towards servers. */
  readonly cookies: boolean;
  /** The question in random upper and lower case, which a forger would have to guess. */
  readonly mixedCase: boolean;
}

/**
 * The defaults. One lost packet is made up for within the 5 s that glibc and Go wait, and the last word is said before they give up.
 * Mixed case is off: id, port and cookie are random already, and servers that fold the question's case cost a TCP exchange.
 */
export const defaultForwardSettings: ForwardSettings = {
  order: "shuffled",
  timeoutMs: 2000,
  deadlineMs: 4500,
  downDeadlineMs: 200,
  retries: 1,
  maxInFlight: 512,
  tcpOnTruncation: true,
  cookies: true,
  mixedCase: false,
};

/** As Istio's proxy asks: each server once, the query as it came. It has no deadline; three servers of resolv.conf take this long. */
export const istioForwardSettings: ForwardSettings = {
  order: "shuffled",
  timeoutMs: 5000,
  deadlineMs: 15_000,
  downDeadlineMs: 15_000,
  retries: 0,
  maxInFlight: 512,
  tcpOnTruncation: false,
  cookies: false,
  mixedCase: false,
};
