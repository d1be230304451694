// Envoy's uri_template path rewrite, the only path_rewrite_policy there is.
import { anyOf, unsupportedType } from "../decode/any.ts";
import type { Decoder } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { nonEmpty } from "../decode/scalars.ts";

const template: Decoder<string> = (json, at) => {
  const value = nonEmpty(json, at);
  if (value !== "" && !/^(?:\/(?:[a-zA-Z0-9-._~%!$&'()+,;:@=]|\{[a-zA-Z][a-zA-Z0-9_]{0,15}\})*)+$/.test(value))
    at.error("a rewrite is a path of literals and {name}");
  return value;
};

const decodeConfig = message("envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig", (m) =>
  m.required("path_template_rewrite", template),
);

const rewriteType = "envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig";

/** A TypedExtensionConfig with such a rewrite, e.g. `/media/{id}`. */
export const decodeTemplateRewrite: Decoder<string> = message("envoy.config.core.v3.TypedExtensionConfig", (m) => {
  m.required("name", nonEmpty);
  return m.required(
    "typed_config",
    anyOf<string>({ [rewriteType]: decodeConfig }, (type, at) => {
      at.error(unsupportedType(type, [rewriteType]));
      return "/";
    }),
  );
});
