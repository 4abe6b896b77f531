// Where the built file of a worker lies: Node runs no TypeScript in workers and child processes, so
// package.json's "imports" map a name such as "#ort-worker" to a file of dist.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

/** The file behind a name of package.json's "imports"; throws `missing(cause)` where there is none. */
export function builtFile(name: `#${string}`, missing: (cause: unknown) => Error): URL {
  try {
    return pathToFileURL(createRequire(import.meta.url).resolve(name));
  } catch (error) {
    throw missing(error);
  }
}
