// The house rules that a program can check: import directions, sizes, names, dialect, tolerances, error
// codes. Each test lists all offenders. The last block checks the checks themselves with planted offences.
import { basename, join } from "node:path";
import { describe, expect, it } from "vitest";
import { ERROR_CODES } from "../compiler/diagnostics.ts";
import { findCycle, parseSource, readSources, type SourceFile, withoutStrings } from "./sourceFiles.ts";
import { COMPILER_STAGES, RUNTIME_STAGES } from "./stages.ts";

const root = join(import.meta.dirname, "..");
const sources = readSources(root, ["compiler", "runtime", "cli", "examples", "test"]);
const shipped = sources.filter(({ path }) => !path.startsWith("test/"));
const house = sources.filter(({ path }) => /^(compiler|runtime)\//.test(path));

const MAX_FILE_LINES = 400;
const MAX_FUNCTION_LINES = 60;
const MAX_COLUMNS = 110;

/**
 * Files that look operators up by name in tables of their own, where a trait of the operator could be asked.
 * No file joins them; one that has no such table any more leaves the list.
 */
const OP_NAME_TABLES: readonly string[] = [
  // ONNX Runtime's kernels and their conditions: facts of the target, not of the operator.
  "compiler/lower/cudaKernels.ts",
  // A target's forms, typed by operator.
  "compiler/lower/forms.ts",
  // How foreign networks are read: which tensors are kernels, what is done to pixels.
  "compiler/model/pixelArithmetic.ts",
  "compiler/model/tensorUses.ts",
];
/** A comparison of what a provider or a target is. */
const WHICH_PROVIDER =
  /\b(?:provider\.kind|target)\s*[!=]==\s*\x22|\x22\s*[!=]==\s*(?:[\w.#]+\.)?(?:provider\.kind|target)\b/;
/** What the vocabulary of the IR may import, narrower than the order of stages. */
const NARROW: Readonly<Record<string, readonly string[]>> = {
  "compiler/ir": ["compiler/ir", "compiler/diagnostics.ts"],
  "compiler/ops": ["compiler/ops", "compiler/ir", "compiler/diagnostics.ts"],
};

/** An import of labels by a folder that is given rows of images and gives pixels. */
const LABELS_FROM_IMAGES = /^runtime\/(images|tables|checks|packs|augment|batches)\/.* -> runtime\/labels\//;

/** `path: what` for each match of `pattern` in `text`, by lines. */
function offences(files: readonly SourceFile[], of: "text" | "code", pattern: RegExp): string[] {
  return files.flatMap((file) =>
    file[of].split("\n").flatMap((line) => (pattern.test(line) ? [`${file.path}: ${line.trim()}`] : [])),
  );
}

/** Place of a file in a list of stages; -1 if it has none. */
function stageOf(path: string, top: string, stages: readonly (readonly string[])[]): number {
  const file = path.slice(top.length + 1);
  const own = stages.findIndex((row) => row.includes(file));
  const folder = file.split("/")[0] ?? "";
  return own === -1 ? stages.findIndex((row) => row.includes(folder)) : own;
}

function forwardImports(files: readonly SourceFile[], top: string, stages: typeof COMPILER_STAGES): string[] {
  return files
    .filter(({ path }) => path.startsWith(`${top}/`))
    .flatMap(({ path, imports }) => {
      const place = stageOf(path, top, stages);
      if (place === -1) return [`${path} belongs to no stage: add its folder to the list`];
      const inside = imports.filter((target) => target.startsWith(`${top}/`));
      return inside
        .filter((target) => stageOf(target, top, stages) > place)
        .map((target) => `${path} -> ${target}`);
    });
}

function importsBeyond(files: readonly SourceFile[], from: string, allowed: readonly string[]): string[] {
  return files
    .filter(({ path }) => path.startsWith(`${from}/`))
    .flatMap(({ path, imports }) =>
      imports
        .filter((target) => !allowed.some((start) => target === start || target.startsWith(`${start}/`)))
        .map((target) => `${path} -> ${target}`),
    );
}

/** Functions and methods longer than the limit: from a line that opens one to the line that closes it. */
function longFunctions({ path, lines }: SourceFile): string[] {
  const opening = /^( {0,2})(?!(?:if|for|while|switch|catch|return)\b)(?:[a-z]+\*? )*\*?#?[\w$]+(?:<.*>)?\(/;
  return lines.flatMap((line, start) => {
    const indent = opening.exec(line)?.[1];
    if (indent === undefined || !/[({]$/.test(line)) return [];
    const rest = lines.slice(start);
    // Parameters on lines of their own: what closes them tells a function from a call.
    const last = line.endsWith("(") ? rest.find((later) => later.startsWith(`${indent})`)) : line;
    if (!last?.endsWith("{")) return [];
    // `});` closes the object that a call is given.
    const closing = rest.findIndex((later) => later === `${indent}}` || later.startsWith(`${indent}})`));
    const length = rest[closing] === `${indent}}` ? closing + 1 : 0;
    return length > MAX_FUNCTION_LINES ? [`${path}:${start + 1}: ${length} lines`] : [];
  });
}

/** Whether something is looked up by an operator's name: `TABLE[node.op.name]`, `SET.has(op.name)`. */
function hasOpNameTable({ code }: SourceFile): boolean {
  return /[\w$)\]]\??\.?\[[\w.?!]*\bop\.name\]|\.(?:get|has|includes)\([\w.?!]*\bop\.name\b/.test(code);
}

/** Matchers and assertions that hold a number like 1e-5, over several lines too. */
function bareTolerances({ path, code }: SourceFile): string[] {
  const matcher =
    /(?:\.to[A-Z]\w*|[aA]ssert\w*)\((?:[^;{}]*?[^\w.])?\d+(?:\.\d+)?e-\d+[^;]*;|\.toBeCloseTo\([^;]*;/g;
  return [...code.matchAll(matcher)].map(([found]) => `${path}: ${found}`);
}

describe("imports", () => {
  it("of compiler/ reach nothing outside it but pure packages", () => {
    const formats = ["protobufjs", "protobufjs/minimal.js", "flatbuffers"];
    const pure = ["compiler", "yaml", "zod", "fastest-levenshtein", "@noble/hashes", ...formats];
    expect(importsBeyond(sources, "compiler", pure)).toEqual([]);
  });

  it("of runtime/ reach neither cli/ nor examples/ nor test/", () => {
    expect(importsOf("runtime").filter((line) => /-> (cli|examples|test)\//.test(line))).toEqual([]);
  });

  it("of what reads, checks, packs and augments images reach no labels", () => {
    expect(importsOf("runtime").filter((line) => LABELS_FROM_IMAGES.test(line))).toEqual([]);
  });

  it("of cli/ and examples/ do not reach test/, and those of cli/ not examples/", () => {
    const lines = [...importsOf("cli"), ...importsOf("examples")];
    expect(lines.filter((line) => /-> test\/|^cli\/.* -> examples\//.test(line))).toEqual([]);
  });

  it("point backwards through the stages of the compiler", () => {
    expect(forwardImports(sources, "compiler", COMPILER_STAGES)).toEqual([]);
    for (const [folder, allowed] of Object.entries(NARROW))
      expect(importsBeyond(sources, folder, allowed)).toEqual([]);
  });

  it("point backwards through the runtime", () => {
    expect(forwardImports(sources, "runtime", RUNTIME_STAGES)).toEqual([]);
  });

  it("form no cycle", () => {
    expect(findCycle(sources)).toBeUndefined();
  });

  it("keep the pipeline on one screen", () => {
    const pipeline = sources.find(({ path }) => path === "compiler/compile.ts");
    expect(pipeline?.lines.length).toBeLessThanOrEqual(80);
  });

  function importsOf(folder: string): string[] {
    return importsBeyond(sources, folder, []);
  }
});

describe("sizes", () => {
  it(`are at most ${MAX_FILE_LINES} lines a file`, () => {
    const long = sources.filter(({ lines }) => lines.length - 1 > MAX_FILE_LINES);
    expect(long.map(({ path, lines }) => `${path}: ${lines.length - 1}`)).toEqual([]);
  });

  it(`are at most ${MAX_FUNCTION_LINES} lines a function`, () => {
    expect(shipped.flatMap(longFunctions)).toEqual([]);
  });

  it(`are at most ${MAX_COLUMNS} columns a line, not counting strings, which cannot be broken`, () => {
    const wide = sources.flatMap(({ path, lines }) =>
      lines.flatMap((line, i) =>
        withoutStrings(line).length > MAX_COLUMNS ? [`${path}:${i + 1}: ${line.length}`] : [],
      ),
    );
    expect(wide).toEqual([]);
  });
});

describe("names", () => {
  it("of files are unique across compiler/ and runtime/", () => {
    const names = house.map(({ path }) => basename(path));
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  });

  it("of files say what they define", () => {
    const vague = /^(utils?|helpers?|misc|common|index)\./;
    expect(sources.filter(({ path }) => vague.test(basename(path))).map(({ path }) => path)).toEqual([]);
  });
});

describe("the dialect", () => {
  it("has no mutable state at the top of a module", () => {
    expect(offences(shipped, "code", /^(export )?(let|var) /)).toEqual([]);
  });

  it("has no any outside the calls of C", () => {
    const files = sources.filter(({ path }) => path !== "runtime/ort/ffi.ts");
    expect(offences(files, "code", /(?:[:<|&]|\bas|=>)\s*any\b(?!\()|,\s*any>/)).toEqual([]);
  });

  it("hides what is a class's own by #names; `private` is for constructors", () => {
    expect(offences(shipped, "code", /^\s+private (?!constructor\b)/)).toEqual([]);
  });

  it("has no default exports but where a tool asks for one", () => {
    expect(offences(sources, "code", /^export default/)).toEqual([]);
  });

  it("throws typed errors, never a bare Error, in compiler/ and runtime/", () => {
    expect(offences(house, "code", /throw new (Range|Type)?Error\(/)).toEqual([]);
  });

  it("opens each file with a comment", () => {
    const bare = sources.filter(({ lines }) => !/^(\/\/|\/\*|#!)/.test(lines[0] ?? ""));
    expect(bare.map(({ path }) => path)).toEqual([]);
  });

  it("asks an operator's name only where operators are defined, translated or rewritten", () => {
    const shared = house.filter(({ path }) => !/^compiler\/(ops|read|lower|passes)\//.test(path));
    expect(
      offences(shared, "code", /\.op\.name\s*[!=]==|[!=]==\s*[\w.]+\.op\.name|switch \([\w.]+\.op\.name\)/),
    ).toEqual([]);
  });

  it("asks traits of a provider and of a target, never which one it is", () => {
    expect(offences(shipped, "code", WHICH_PROVIDER)).toEqual([]);
  });

  it("keeps no more tables of operators' names outside compiler/ops and compiler/read", () => {
    const others = house.filter(({ path }) => !/^compiler\/(ops|read)\//.test(path));
    expect(others.filter(hasOpNameTable).map(({ path }) => path)).toEqual(OP_NAME_TABLES);
  });
});

describe("the tests", () => {
  it("name their tolerances: no bare literal in an assertion outside test/tolerances.ts", () => {
    const tests = sources.filter(({ path }) => path.startsWith("test/"));
    expect(tests.flatMap(bareTolerances)).toEqual([]);
  });
});

describe("the catalogue of errors", () => {
  it("has no code that nothing throws", () => {
    const texts = shipped.filter(({ path }) => path !== "compiler/diagnostics.ts").map(({ text }) => text);
    const unused = Object.keys(ERROR_CODES).filter(
      (code) => !texts.some((text) => text.includes(`"${code}"`)),
    );
    expect(unused).toEqual([]);
  });
});

describe("these checks", () => {
  const planted = (path: string, text: string): SourceFile[] => [parseSource(path, text)];

  it("see labels that images reach for", () => {
    const line = (folder: string): string => `runtime/${folder}/a.ts -> runtime/labels/classes.ts`;
    expect(["batches", "checks"].every((folder) => LABELS_FROM_IMAGES.test(line(folder)))).toBe(true);
    expect(["train", "infer", "labels"].some((folder) => LABELS_FROM_IMAGES.test(line(folder)))).toBe(false);
  });

  it("see a forward import, one out of the compiler, and a file of no stage", () => {
    const file = planted(
      "compiler/ir/a.ts",
      'import { x } from "../codec/b.ts";\nimport { y } from "node:fs";\n',
    );
    expect(forwardImports(file, "compiler", COMPILER_STAGES)).toEqual([
      "compiler/ir/a.ts -> compiler/codec/b.ts",
    ]);
    expect(importsBeyond(file, "compiler", ["compiler"])).toEqual(["compiler/ir/a.ts -> node:fs"]);
    expect(forwardImports(planted("compiler/new/a.ts", ""), "compiler", COMPILER_STAGES)).toHaveLength(1);
    // The manifest stands before the graphs that are built for it, the rest of its folder after them.
    const bundle = (target: string) =>
      planted("compiler/step/a.ts", `import { x } from "../bundle/${target}.ts";\n`);
    expect(forwardImports(bundle("manifest"), "compiler", COMPILER_STAGES)).toEqual([]);
    expect(forwardImports(bundle("writeBundle"), "compiler", COMPILER_STAGES)).toHaveLength(1);
  });

  it("see a cycle, also through a re-export", () => {
    const files = [
      ...planted("runtime/a.ts", 'import {\n  b,\n} from "./b.ts";\n'),
      ...planted("runtime/b.ts", 'export { c } from "./c.ts";\n'),
      ...planted("runtime/c.ts", 'const a = await import("./a.ts");\n'),
    ];
    expect(findCycle(files)).toEqual(["runtime/a.ts", "runtime/b.ts", "runtime/c.ts", "runtime/a.ts"]);
    expect(findCycle(files.slice(0, 2))).toBeUndefined();
    const types = planted("runtime/c.ts", 'import { type A } from "./a.ts";\n');
    expect(findCycle([...files.slice(0, 2), ...types])).toBeUndefined();
    const far = planted("runtime/d/c.ts", 'import type { A } from "../a.ts";\n');
    const back = planted("runtime/a.ts", 'import { c } from "./d/c.ts";\n');
    expect(findCycle([...far, ...back])).toHaveLength(3);
  });

  it("see a long function but no long list", () => {
    const filler = "  x;\n".repeat(MAX_FUNCTION_LINES);
    expect(longFunctions(planted("a.ts", `export function f(): void {\n${filler}}\n`)[0]!)).toHaveLength(1);
    expect(
      longFunctions(planted("a.ts", `class A {\n  async #f(): void {\n${filler}  }\n}\n`)[0]!),
    ).toHaveLength(1);
    const call = `function f(): void {\n  g(\n    x,\n  );\n}\nconst list = [\n${filler}];\nif (x) {\n}\n`;
    expect(longFunctions(planted("a.ts", call)[0]!)).toEqual([]);
    expect(longFunctions(planted("a.ts", `const list = [\n${filler}];\n`)[0]!)).toEqual([]);
  });

  it("see a bare tolerance, on a line of its own too", () => {
    const [file] = planted(
      "a.ts",
      "expect(a).toBeLessThan(\n  1e-5,\n);\nassertClose(a, b, 2.5e-3);\nconst lr = 1e-3;\n",
    );
    expect(bareTolerances(file!)).toHaveLength(2);
  });

  it("see a table of operators by name", () => {
    const sees = (text: string): boolean => hasOpNameTable(planted("a.ts", text)[0]!);
    const tables = [
      "TABLE[node.op.name]",
      "table?.[op.name]",
      "SET.has(next.op.name)",
      "LIST.includes(op.name)",
    ];
    for (const text of [...tables, "this.#rules.get(node!.op.name)"]) expect(sees(text), text).toBe(true);
    for (const text of ["[node.op.name, 1]", "f(op.name)"]) expect(sees(text), text).toBe(false);
  });

  it("see a comparison of a provider or a target", () => {
    const sees = (text: string): boolean => WHICH_PROVIDER.test(planted("a.ts", text)[0]!.code);
    for (const text of [
      'if (host.provider.kind !== "cpu") x;',
      'const a = target === "cuda";',
      '"cpu" === this.#host.provider.kind',
    ])
      expect(sees(text), text).toBe(true);
    for (const text of [
      "traits.target",
      "TRAITS[provider.kind]",
      "request.kind !== x",
      "count === target.length",
    ])
      expect(sees(text), text).toBe(false);
  });

  it("do not take strings and comments for code", () => {
    const [file] = planted("a.ts", 'const a = "x as any"; // comment\n/* : any */ const b = `: any`;\n');
    expect(file?.code).not.toMatch(/any|comment/);
  });
});
