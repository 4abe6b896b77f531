// The specs that tests of lowering compile: the golden cases and the examples.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { GOLDEN_CASES, GOLDEN_FOLDER } from "../golden/goldenCases.ts";

const EXAMPLES = join(import.meta.dirname, "../../examples");

/** Paths of the examples' spec files. */
export const EXAMPLE_SPECS: readonly string[] = readdirSync(EXAMPLES, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith("spec.yml"))
  .map((file) => join(EXAMPLES, file));

/** Paths of all spec files. */
export const SPECS: readonly string[] = [
  ...GOLDEN_CASES.map((name) => join(GOLDEN_FOLDER, name, "spec.yml")),
  ...EXAMPLE_SPECS,
];
