// The README is held to the code: the table of spec keys is the generated one, every command and option that
// it names exists, and the walk from a label table to an exported model is run line by line. UPDATE_README=1
// rewrites the table (refused where CI is set).
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseSpec } from "../../compiler/spec/parseSpec.ts";
import { SECTION_KEYS } from "../../compiler/spec/schema.ts";
import { augmentMarkdownTable, COMMON_KEYS, specMarkdownTable } from "../../compiler/spec/specDocs.ts";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData, type TinyData } from "../cli/tinyData.ts";
import { pythonWith } from "../python.ts";

const repository = join(import.meta.dirname, "..", "..");
const file = join(repository, "README.md");
/** Generated tables by name: the page that holds each, and its lines. */
const TABLES = {
  "spec-table": ["README.md", specMarkdownTable(COMMON_KEYS)],
  "labels-table": ["docs/spec.md", specMarkdownTable(SECTION_KEYS.labels)],
  "images-table": ["docs/spec.md", specMarkdownTable(SECTION_KEYS.images)],
  "network-table": ["docs/spec.md", specMarkdownTable(SECTION_KEYS.network)],
  "step-table": ["docs/spec.md", specMarkdownTable(SECTION_KEYS.step)],
  "run-table": ["docs/spec.md", specMarkdownTable(SECTION_KEYS.run)],
  "augment-table": ["docs/augmentation.md", augmentMarkdownTable()],
} as const;

/** A generated table between its comments. */
function tableOf(name: string): RegExp {
  return new RegExp(`(<!-- ${name}:begin -->\\n)([\\s\\S]*?)(<!-- ${name}:end -->)`);
}

if (process.env.UPDATE_README === "1") {
  if (process.env.CI) throw new Error("UPDATE_README is for people, not for CI");
  for (const [name, [page, lines]] of Object.entries(TABLES)) {
    const text = readFileSync(join(repository, page), "utf8");
    const fresh = text.replace(tableOf(name), (_, begin, _old, end) => `${begin}${lines}\n${end}`);
    writeFileSync(join(repository, page), fresh);
  }
}
const readme = readFileSync(file, "utf8");
/** What each command does, a row each. */
const commandsPage = readFileSync(join(repository, "docs", "commands.md"), "utf8");

/** Contents of the fenced blocks that follow a comment `<!-- name: ... -->`. */
function blocksMarked(name: string): string[] {
  const blocks = readme.matchAll(new RegExp(`<!-- ${name}: .*-->\\n\`\`\`\\w+\\n([\\s\\S]*?)\`\`\``, "g"));
  return [...blocks].map(([, code]) => code ?? "");
}

/** Headings of a page as links name them. */
function headingsOf(page: string): string[] {
  const headings = readFileSync(page, "utf8").matchAll(/^#+ (.+)$/gm);
  return [...headings].map(([, text = ""]) =>
    text
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

describe("the README", () => {
  it.each(Object.entries(TABLES))("holds, or links to, exactly the %s of the code", (name, [page, lines]) => {
    if (page !== "README.md") expect(readme).toContain(`](${page})`);
    expect(tableOf(name).exec(readFileSync(join(repository, page), "utf8"))?.[2]).toBe(`${lines}\n`);
  });

  it("names only npm scripts that exist", () => {
    const { scripts } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8"));
    const named = [...readme.matchAll(/npm run ([\w:]+)/g)].map(([, name]) => name ?? "");
    expect(named).toContain("demo");
    expect(named.filter((name) => !Object.hasOwn(scripts, name))).toEqual([]);
    expect(scripts).toHaveProperty("test");
  });

  it("names every command of mttc, and only commands and options that exist", () => {
    const folder = join(repository, "cli");
    const sources = readdirSync(folder).filter((name) => name.endsWith(".ts"));
    const code = sources.map((name) => readFileSync(join(folder, name), "utf8")).join("\n");
    const declared = /^export function add(\w+)Command\([\s\S]*?(?:\.c|new C)ommand\("([\w-]+)"\)/gm;
    const commands = [...code.matchAll(declared)].map(([, file = "", name = ""]) =>
      /^Data./.test(file) ? `data ${name}` : name,
    );
    const inText = (text: string, places: RegExp) =>
      [...text.matchAll(places)].flatMap(([, name = ""]) => [name, ...name.split(" ", 1)]);
    const inReadme = inText(readme, /(?:`|npx )mttc (data \w+|[\w-]+)/g);
    expect(new Set(inReadme.filter((name) => name !== "works"))).toEqual(new Set(commands));
    expect(new Set(inText(commandsPage, /^\| `mttc (data \w+|[\w-]+)/gm))).toEqual(new Set(commands));
    const flags = [...`${readme}${commandsPage}`.matchAll(/(?<=[ `])--[a-z]+/g)].map(([flag]) => flag);
    expect(flags.filter((flag) => !code.includes(flag))).toEqual([]);
  });

  it("shows an imported extractor in keys and forms that the spec has", () => {
    const [block = ""] = blocksMarked("fcn");
    const spec = parseSpec(`tasks: [kind]\n${block}`, "README.md");
    expect(spec.fcn).toMatchObject({ path: "backbone.onnx", batchnorm: "train" });
    expect(spec.train_fcn).toHaveProperty("from");
  });

  const pages = readdirSync(join(repository, "docs")).filter((name) => name.endsWith(".md"));
  it.each(["README.md", ...pages.map((name) => `docs/${name}`)])(
    "%s links to files and headings that exist",
    (page) => {
      const text = readFileSync(join(repository, page), "utf8");
      const links = [...text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g)].map(([, link]) => link ?? "");
      if (page === "README.md") expect(links.length).toBeGreaterThan(2);
      const broken = links.filter((link) => {
        const [path = "", heading] = link.split("#");
        const target = path === "" ? join(repository, page) : join(repository, dirname(page), path);
        return !existsSync(target) || (heading !== undefined && !headingsOf(target).includes(heading));
      });
      expect(broken).toEqual([]);
    },
  );
});

describe("the README's five minutes", () => {
  let data: TinyData;
  beforeAll(async () => {
    data = await makeTinyData();
    for (const name of ["train.csv", "val.csv"]) {
      const path = join(data.folder, name);
      const text = readFileSync(path, "utf8").replace("file,colour,its shape", "filepath,species,season");
      writeFileSync(path, text);
    }
    cpSync(join(data.folder, "images", "val-0.png"), join(data.folder, "images", "001.jpg"));
    mkdirSync(join(data.folder, "node_modules"));
    symlinkSync(repository, join(data.folder, "node_modules", "mttc"), "junction");
  });
  afterAll(() => data[Symbol.asyncDispose]());

  it("go from a label table to predictions, command by command", async () => {
    const lines = (blocksMarked("walk")[0] ?? "").trim().split("\n");
    expect(lines).toHaveLength(6);
    for (const line of lines) {
      const [command = ""] = line.split("#");
      const args = command.trim().split(/\s+/);
      expect(args.splice(0, 2)).toEqual(["npx", "mttc"]);
      const { code, stderr } = await runCli(data.folder, args);
      expect([command, code, /\bE_[A-Z]/.test(stderr)]).toEqual([command, 0, false]);
    }
    const exported = readdirSync(join(data.folder, "runs", "train", "export"));
    expect(exported).toEqual(expect.arrayContaining(["model.onnx", "species.onnx", "season.onnx"]));
  });

  it("go on in Python, where that has the packages", (context) => {
    const python = pythonWith("numpy", "PIL", "onnxruntime");
    if (python === undefined) return context.skip("no python3 with numpy, pillow and onnxruntime");
    const page = readFileSync(join(repository, "docs", "predict.md"), "utf8");
    const [block = ""] = page.match(/(?<=```python\n)from predict import[\s\S]*?(?=```)/) ?? [];
    const client = join(repository, "examples", "clients", "python");
    const env = { ...process.env, PYTHONPATH: client, PYTHONDONTWRITEBYTECODE: "1" };
    const options = { cwd: data.folder, encoding: "utf8", env } as const;
    const { status, stdout, stderr } = spawnSync(python, ["-c", block], options);
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^species (blue|red) [01]\.\d+\n$/);
  });

  it("type check under strict TypeScript, declarations included", () => {
    const blocks = blocksMarked("node");
    for (const [i, block] of blocks.entries()) writeFileSync(join(data.folder, `block-${i}.mts`), block);
    const tsconfig = {
      compilerOptions: {
        ...{ target: "ES2022", module: "NodeNext", lib: ["ES2023", "ESNext.Disposable"], noEmit: true },
        ...{ strict: true, noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: true },
        ...{ skipLibCheck: false, types: ["node"], typeRoots: [join(repository, "node_modules", "@types")] },
      },
      files: blocks.map((_, i) => `block-${i}.mts`),
    };
    writeFileSync(join(data.folder, "tsconfig.json"), JSON.stringify(tsconfig));
    const tsc = join(repository, "node_modules", "typescript", "bin", "tsc");
    const { status, stdout } = spawnSync(process.execPath, [tsc, "-p", data.folder], { encoding: "utf8" });
    expect([status, stdout]).toEqual([0, ""]);
  });

  it("go on in Node: predicting with an exported file, and training by a program", () => {
    const blocks = blocksMarked("node");
    expect(blocks).toHaveLength(2);
    for (const [i, block] of blocks.entries()) {
      const script = join(data.folder, `block-${i}.mjs`);
      writeFileSync(script, block);
      const options = { cwd: data.folder, encoding: "utf8" } as const;
      expect(spawnSync(process.execPath, [script], options)).toMatchObject({ status: 0, stderr: "" });
    }
    expect(existsSync(join(data.folder, "runs", "from-a-program", "export", "model.onnx"))).toBe(true);
  });
});
