// What a command loads before it answers: help and a refused spec wait for no native part, no compiler and no
// reader of tables or images.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { median } from "../median.ts";
import { CLI_MAIN } from "./runCli.ts";

const folder = mkdtempSync(join(tmpdir(), "mttc-test-"));
const loads = join(folder, "loads.txt");
const recorder = join(folder, "recorder.cjs");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const hook = `import { appendFileSync } from "node:fs";
export async function load(url, context, next) {
  appendFileSync(${JSON.stringify(loads)}, url + "\\n");
  return next(url, context);
}`;
// Modules of both kinds, and libraries that were opened.
writeFileSync(
  recorder,
  `const { appendFileSync } = require("node:fs");
require("node:module").register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(hook)}`)});
process.on("exit", () => {
  const { sharedObjects } = process.report.getReport();
  appendFileSync(${JSON.stringify(loads)}, [...Object.keys(require.cache), ...sharedObjects].join("\\n"));
});`,
);
writeFileSync(join(folder, "mistyped.yml"), "nmae: first\n");

/** Every package, and every file of ours, that `mttc ...args` loads; and how it ends. */
function loadedBy(...args: readonly string[]) {
  writeFileSync(loads, "");
  const options = { cwd: folder, encoding: "utf8" } as const;
  const run = spawnSync(process.execPath, ["--require", recorder, CLI_MAIN, ...args], options);
  const paths = readFileSync(loads, "utf8").replaceAll("\\", "/").split("\n");
  const found = (pattern: RegExp) => [...new Set(paths.flatMap((path) => pattern.exec(path)?.[1] ?? []))];
  return {
    ...run,
    packages: found(/\/node_modules\/((?:@[^/]+\/)?[^/]+)\//),
    files: found(/\/dist\/((?:cli|compiler|runtime)\/.*\.js)$/),
    natives: found(/([^/]+\.node)$/),
  };
}

/** Files of ours beyond the declarations of commands. */
function beyond(files: readonly string[], allowed: readonly string[]): string[] {
  const start = /^cli\/(main|programEnd|errorReport|launchedRank|terminal|runtimeOptions|\w+Command)\.js$/;
  const base =
    /^compiler\/(bundle\/manifest|diagnostics|visibleText|spec\/sinkNames|ortTraining\/ortVersions)\.js$/;
  const lower =
    /^runtime\/(files\/\w+|ort\/providerName|ranks\/(rankEnvironment|mpiexecCommand|heartbeatProtocol))\.js$/;
  const known = [start, base, lower];
  return files.filter(
    (file) => !known.some((names) => names.test(file)) && !allowed.some((path) => file.startsWith(path)),
  );
}

const HELP_PACKAGES = ["commander", "fastest-levenshtein", "picocolors"];
const SPEC_PACKAGES = [...HELP_PACKAGES, "yaml", "zod"];
const SPEC_FILES = [
  ...["cli/specFile.js", "cli/pathText.js", "cli/trainStart.js", "compiler/spec/"],
  // A kind of task, and a method that combines gradients, say themselves what a spec may ask of them.
  ...["compiler/tasks/", "compiler/combine/", "compiler/ir/types.js"],
  ...["runtime/tables/tableText.js", "runtime/runs/runFile.js", "runtime/train/experiment.js"],
];

describe("without a spec", () => {
  const commands = loadedBy("--help")
    .stdout.split("\n")
    .flatMap((line) => /^ {2}([\w-]+) \[?/.exec(line)?.[1] ?? []);

  test.each([
    { args: ["--help"], code: 0 },
    { args: ["--version"], code: 0 },
    { args: ["tarin", "spec.yml"], code: 2 },
    { args: ["train"], code: 2 },
    { args: ["data", "check", "--help"], code: 0 },
    ...commands.map((name) => ({ args: [name, "--help"], code: 0 })),
  ])("mttc $args loads the declarations of the commands alone", ({ args, code }) => {
    const { status, packages, files, natives } = loadedBy(...args);
    expect(status).toBe(code);
    expect(packages.toSorted()).toEqual(HELP_PACKAGES);
    expect(beyond(files, [])).toEqual([]);
    expect(natives).toEqual([]);
  });

  test("every command is among these", () => {
    expect(commands.length).toBeGreaterThan(14);
    expect(commands).toEqual(expect.arrayContaining(["init", "train", "export", "setup-cuda"]));
  });
});

describe("a refused spec", () => {
  const readers = [
    ...[["compile", "-o", "out"], ["train"], ["inspect"], ["augplot"], ["evaluate"], ["export"]],
    ...[
      ["data", "check"],
      ["data", "pack"],
      ["data", "stats"],
    ],
  ];
  const cases = readers.flatMap((args) => [
    { args: [...args, "mistyped.yml"], says: 'unknown key "nmae"' },
    { args: [...args, "missing.yml"], says: "missing.yml" },
  ]);

  test.each(cases)("mttc $args loads what reads specs alone", ({ args, says }) => {
    const { status, stderr, packages, files, natives } = loadedBy(...args);
    expect([status, stderr]).toEqual([2, expect.stringContaining(says)]);
    expect(packages.toSorted()).toEqual(SPEC_PACKAGES);
    expect(beyond(files, SPEC_FILES)).toEqual([]);
    expect(natives).toEqual([]);
  });
});

test("help and a refused spec take a few times what Node takes to start", () => {
  const node = ["-e", "0"];
  const help = [CLI_MAIN, "--help"];
  const refused = [CLI_MAIN, "train", "mistyped.yml"];
  const times = [node, help, refused].map(() => [] as number[]);
  for (let block = 0; block < 5; block++)
    [node, help, refused].forEach((args, i) => {
      const started = performance.now();
      spawnSync(process.execPath, args, { cwd: folder });
      times[i]?.push(performance.now() - started);
    });
  const [floorMs = 0, helpMs, refusedMs] = times.map(median);
  expect(helpMs).toBeLessThan(5 * floorMs);
  expect(refusedMs).toBeLessThan(8 * floorMs);
});
