// Prints what c-ares, which Node brings along, finds for a host: addresses of both families, or SRV records.
import { Resolver } from "node:dns/promises";

const [name, type] = process.argv.slice(2);
const resolver = new Resolver();
try {
  if (type === "SRV") for (const { name: target, port } of await resolver.resolveSrv(name)) console.log(`${target}. ${port}`);
  else {
    const families = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
    const found = families.flatMap((each) => each.value ?? []);
    if (found.length === 0) throw families[0].reason;
    console.log(found.join("\n"));
  }
} catch (error) {
  console.error(error.code);
  process.exitCode = 1;
}
