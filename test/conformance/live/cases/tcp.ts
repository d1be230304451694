// tcp_proxy: connections that are answered with nothing but how they end.
import { type LiveCase, tcp } from "../case.ts";

export const tcpCases: readonly LiveCase[] = [
  tcp("tcp: half-close travels through", "echo", ["ping"], { fin: true }),
  tcp("tcp: idle timeout", "echo", ["ping"]),
  tcp("tcp: refused twice", "refused", []),
  tcp("tcp: refused, client speaks", "refused", ["ping"]),
  tcp("tcp: no endpoints", "empty", []),
  tcp("tcp: no endpoints, client speaks", "empty", ["ping"]),
  tcp("tcp: denied by network rbac", "denied", ["x"]),
];
