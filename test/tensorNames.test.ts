// Roles and regions say what a tensor is; names and origins are for people. This looks for sources that read
// either all the same: that take a name apart, or decide by where a value comes from.
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseSource, readSources, type SourceFile } from "./sourceFiles.ts";

/** What names of ours begin with: before a slash or, of parts, a dot. */
const WORDS = [
  ...["next", "accumulated", "gradient", "statistic", "label", "mask", "augment", "optimizer", "tasks"],
  ...["inv_count", "class_weight", "task_weight", "loss_sum", "count", "correct", "logits", "probabilities"],
];
const WORD = `(?:${WORDS.join("|")})`;
/** A regular expression, or a text that a method compares, that begins or ends a name of ours. */
const READS_WORDS = [
  new RegExp(String.raw`/[^/\n]*?\b${WORD}(?:\\b|\)*\\[./]|\|[^/\n]*\)\\[/b])[^\n]*/[a-z]*[.,;)]`),
  new RegExp(String.raw`\.(?:startsWith|endsWith|includes|indexOf|split|replace)\(["'\x60]${WORD}[./]`),
  /\.(?:startsWith|endsWith|split|replace)\((?:nextName|accumulatorName|gradientName|statisticName)\(/,
];

const METHODS =
  "startsWith|endsWith|replace|replaceAll|match|matchAll|split|slice|substring|indexOf|lastIndexOf";
const HELD = "name|origin|output|input|tensor|stage";
/** A name that is taken apart; that of an operator (`op.name`) is none of a tensor. */
const TAKES_APART = [
  new RegExp(String.raw`(?<!\bop\.)\b(?:${HELD})\??\.(?:${METHODS})\(`),
  new RegExp(String.raw`\.(?:test|exec)\((?:[\w?.![\]]+\.)?(?<!\bop\.)(?:${HELD})\b`),
  /\bpart\??\.(?:startsWith|endsWith|replace|slice|match)\(/,
];
/** A comparison of where a value comes from. */
const DECIDES_BY_ORIGIN =
  /\borigin\??\.\w+\(|\borigin [!=]==? [^u]|[!=]== \S*\borigin\b|\(\w*[oO]rigin \?\? ""\)/;

/** Folders and files that handle graphs of ours, or what is kept of them. */
const HANDLE_GRAPHS = /^compiler\/(?:augment|autodiff|bundle|export|lower|model|passes|step)\/|^runtime\/.*/;
const HOLDS_GRAPHS = /^compiler\/(?:bundle\/manifest|ir\/(?:types|roles|builder)|passes\/pass)\.ts$/;

/** Files that may, and why. */
const ALLOWED: Readonly<Record<string, string>> = {
  "compiler/bundle/olderManifest.ts": "bundles of version 1 said a tensor's meaning in its name alone",
  "compiler/export/namedLayer.ts": "what a user may call a layer by",
  "compiler/model/importedTrunk.ts": "what a spec may call a node of a model file by",
  "compiler/model/replay.ts": "makes origins out of those of a model file",
  "compiler/model/trunkTensors.ts": "names in a model file: what a tensor is, they hint",
  "compiler/model/untying.ts": "names of an operator's inputs in its table",
  "runtime/runs/checkpointTensors.ts": "groups the lines of a message on tensors that the model has not",
  "runtime/runs/compilationKey.ts": "names of files",
  "runtime/runs/ownRun.ts": "names of files",
  "runtime/runs/trunkReading.ts": "compares two graphs of one model file by their nodes",
};

/** `path: line` of each offence. */
function offences(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, text, imports }) => {
    if (path in ALLOWED || !/^(?:compiler|runtime|cli)\//.test(path)) return [];
    const holds = HANDLE_GRAPHS.test(path) && imports.some((target) => HOLDS_GRAPHS.test(target));
    const patterns = [...READS_WORDS, ...(holds ? [...TAKES_APART, DECIDES_BY_ORIGIN] : [])];
    const lines = text.split("\n").filter((line) => !/^\s*(?:\/\/|\/?\*)/.test(line));
    return lines
      .filter((line) => patterns.some((pattern) => pattern.test(line)))
      .map((line) => `${path}: ${line.trim()}`);
  });
}

const sources = readSources(join(import.meta.dirname, ".."), ["compiler", "runtime", "cli"]);

test("no source takes a tensor's name apart, and none decides by an origin", () => {
  expect(offences(sources)).toEqual([]);
});

test("files that may are there, and do", () => {
  const found = sources.filter(({ path }) => path in ALLOWED);
  expect(found.map(({ path }) => path).sort()).toEqual(Object.keys(ALLOWED).sort());
});

const IMPORT = 'import type { Value } from "../ir/types.ts";\n';

test.each([
  "if (!/^(gradient|statistic)\\//.test(result)) b.output(result, value);",
  "return /^(loss_sum|count|correct)\\//.test(it);",
  'return ["image"].includes(x) || /^(label|mask)\\//.test(x);',
  'const task = parameter.part.replace(/^tasks\\./, "");',
  "const FLOAT32 = /^(augment|optimizer|accumulated)\\b/;",
  'return it.startsWith("next/") ? it : undefined;',
  `return it.startsWith(\`logits/\${task}\`);`,
  'const [kind, task] = it.split("label/");',
  'return it.startsWith(nextName(""));',
  "return name.slice(prefix.length);",
  "return entry.name.startsWith(prefix);",
  'told.has(name.replace(/\\/[^/]+$/, ""));',
  "return PATTERN.test(output);",
  "return PATTERN.exec(value.name)?.[1];",
  `if (stage.endsWith(\`/\${READY}\`)) ready.push(graph);`,
  "if (FLOAT32.test(node.outputs[0]?.origin)) return undefined;",
  'const isImage = value.origin === "image";',
  "if (origin.includes(wanted)) return true;",
])("finds the planted offence %s", (line) => {
  expect(offences([parseSource("compiler/passes/x.ts", `${IMPORT}${line}\n`)])).toHaveLength(1);
});

test.each([
  '  if (node.op.name.startsWith("Reduce")) return 1;',
  `  return b.within(\`gradient(\${node.outputs[0]?.origin})\`, body);`,
  `  throw new InternalError(\`\${op.name}: \${value.name} has no \${output}\`);`,
  "// next/<name>: /^next\\// of the output",
  `  const other = find(outputs, \`label/\${task}\`);`,
])("lets %s pass", (line) => {
  expect(offences([parseSource("compiler/passes/x.ts", `${IMPORT}${line}\n`)])).toEqual([]);
});
