// What is translated for the nodes of the golden meshes is accepted by this proxy's own decoders, without an error.
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { decodeResources } from "../../../src/envoy/bootstrap-decoder.ts";
import { extensions } from "../../../src/envoy/extensions.ts";
import { loadMeshDirectory } from "../../../src/source/mesh/directory/load.ts";
import { translate } from "../../../src/source/mesh/translate.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const topics = readdirSync(here).filter((name) => existsSync(join(here, name, "mesh")));

// The one kind of file that a translation itself names, beside those behind names of secrets.
const revocations = (path: string): Uint8Array | { readonly error: string } =>
  /crl/.test(path) ? Buffer.from("-----BEGIN X509 CRL-----\n-----END X509 CRL-----\n") : { error: "there is no such file" };

suite("translated resources", () => {
  for (const topic of topics) {
    test(`${topic}: are decoded without an error`, async () => {
      const { mesh, nodes } = await loadMeshDirectory(join(here, topic, "mesh"));
      for (const [name, node] of nodes) {
        const { cds, eds, lds, rds } = translate(mesh, node);
        const json = { clusters: cds.resources, endpoints: eds.resources, listeners: lds.resources, routes: rds.resources };
        const { issues, rejected, resources } = decodeResources(json, { extensions, readFile: revocations });
        assert.deepEqual(
          issues.filter((issue) => issue.severity === "error"),
          [],
          name,
        );
        assert.deepEqual(rejected, [], name);
        assert.equal(resources.routes.length, rds.resources.length, name);
      }
    });
  }
});
