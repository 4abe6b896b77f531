// The pages for whoever works on mttc: what they name is there, in the order that the architecture test
// holds, and under the numbers that the code has.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { COMPILER_STAGES, RUNTIME_STAGES } from "../stages.ts";

const textOf = (file: string): string => readFileSync(join(PROJECT_ROOT, file), "utf8");
const PAGES = ["ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];

/** Files and folders that a page names: what stands in backquotes, or in a link, and begins at the root. */
function namedIn(page: string): string[] {
  const text = textOf(page);
  const quoted = [...text.matchAll(/`((?:cli|compiler|docs|examples|runtime|test)\/[\w./]*)`/g)];
  const linked = [...text.matchAll(/\]\(([\w./]+)\)/g)];
  return [...quoted, ...linked].flatMap(([, path]) => path ?? []);
}

test.each(PAGES)("%s names only what is there", (page) => {
  const named = namedIn(page);
  expect(named.length).toBeGreaterThan(1);
  expect(named.filter((path) => !existsSync(join(PROJECT_ROOT, path)))).toEqual([]);
});

test("ARCHITECTURE.md lists the folders in the order in which they may import", () => {
  const lines = textOf("ARCHITECTURE.md").split("\n");
  const listed = (top: string): string[] => {
    const start = lines.indexOf(`    ${top}/`) + 1;
    const rest = lines.slice(start);
    const end = rest.findIndex((line) => !line.startsWith("      "));
    return rest.slice(0, end).flatMap((line) => /^ {6}([\w.]+)\/? {2,}/.exec(line)?.[1] ?? []);
  };
  // A file that has a row of its own before its folder's is told with the folder.
  const order = (rows: readonly (readonly string[])[]): string[] =>
    rows.flat().filter((name) => !name.includes("/") && name !== "visibleText.ts");
  for (const [top, rows] of [
    ["compiler", COMPILER_STAGES],
    ["runtime", RUNTIME_STAGES],
  ] as const) {
    expect(listed(top)).toEqual(order(rows));
  }
});

test.each([
  ["run", "runtime/runs/runFolder.ts", /const VERSION = (\d+)/],
  ["bundle", "compiler/bundle/manifest.ts", /BUNDLE_VERSION = (\d+)/],
  ["checkpoint", "runtime/runs/checkpoints.ts", /const FORMAT = (\d+)/],
  ["exported model", "compiler/export/modelMetadata.ts", /METADATA_VERSION = (\d+)/],
  ["reading rules of images", "compiler/export/imageReading.ts", /RULES_VERSION = (\d+)/],
  ["packed images", "runtime/packs/packShard.ts", /SHARD_VERSION = (\d+)/],
  ["record of images", "runtime/checks/imageManifest.ts", /const VERSION = (\d+)/],
])("CHANGELOG.md has the number of the %s, and a rule", (what, file, pattern) => {
  const row = textOf("CHANGELOG.md")
    .split("\n")
    .find((line) => line.startsWith(`| ${what} |`));
  const [, , , number, rule = ""] = row?.split("|").map((cell) => cell.trim()) ?? [];
  expect(number).toBe(pattern.exec(textOf(file))?.[1]);
  expect(rule.length).toBeGreaterThan(20);
});
