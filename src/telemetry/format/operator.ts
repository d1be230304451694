// What a command operator is: a function that compiles its argument to a read of StreamInfo.
import type { StreamInfo } from "../stream-info.ts";

/** Reads one value of a stream. */
export type Read = (info: StreamInfo) => string | number | boolean | object | undefined;

/** What operators may read beside the stream. */
export interface OperatorDeps {
  /** For `%ENVIRONMENT(X)%`; default the process's. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** For `%HOSTNAME%`; default the machine's. */
  readonly hostname?: string;
  /** For `%LOCAL_REPLY_BODY%`: the body of the reply that is being formatted; absent: there is none. */
  readonly localReplyBody?: () => string;
}

/** Compiles one operator's argument (undefined when there are no parentheses). A warning: accepted, but never with a value. */
export type CompileOperator = (
  argument: string | undefined,
  deps: OperatorDeps,
) => Read | { readonly error: string } | { readonly warning: string };
