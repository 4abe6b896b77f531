// The project's folder, for tests and scripts that run from their sources or from dist/.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

/** The nearest folder above this file that has a package.json. */
export const PROJECT_ROOT: string = rootAbove(import.meta.dirname);

function rootAbove(folder: string): string {
  if (existsSync(join(folder, "package.json"))) return folder;
  const parent = dirname(folder);
  if (parent === folder) throw new Error("no package.json above the tests");
  return rootAbove(parent);
}
