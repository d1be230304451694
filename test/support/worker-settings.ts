// Settings of a worker that runs within a test.

/** Worker 0 on loopback, which logs nothing. */
export const workerSettings = {
  id: 0,
  priority: 0,
  reusePort: false,
  logLevel: "off",
  logStyle: "text",
  accessLogFlushMs: 1,
  localAddress: "127.0.0.1",
} as const;
