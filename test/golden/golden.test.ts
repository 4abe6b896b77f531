// The compiler's text after each stage against the kept one, and what must hold for every compiled spec: same
// bytes whatever the order of the keys, an origin on every node, less than a second.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import type { Bundle } from "../../compiler/bundle/manifest.ts";
import { compile } from "../../compiler/compile.ts";
import { printGraph } from "../../compiler/ir/print.ts";
import type { Graph } from "../../compiler/ir/types.ts";
import { decodeModelProto } from "../../compiler/codec/protobuf.ts";
import { parseSpec } from "../../compiler/spec/parseSpec.ts";
import { readForeignModels } from "../../runtime/models/foreignModels.ts";
import { COMPILE_MS } from "../tolerances.ts";
import {
  classesOf,
  compileGoldenCase,
  GOLDEN_CASES,
  GOLDEN_FOLDER,
  goldenGraphs,
  goldenSpecText,
  goldenTarget,
} from "./goldenCases.ts";
import { describeDifference, wantsUpdate } from "./goldenDiffer.ts";

const EXAMPLES = fileURLToPath(new URL("../../examples", import.meta.url));

describe.each(GOLDEN_CASES)("golden case %s", (name) => {
  const traced = compileGoldenCase(name);

  test.each([...goldenGraphs(traced)])("%s is as kept", (file, graph) => {
    const path = join(GOLDEN_FOLDER, name, file);
    const text = printGraph(graph);
    if (wantsUpdate(process.env)) writeFileSync(path, text);
    expect(existsSync(path), `${path} is missing: UPDATE_GOLDEN=1 writes it`).toBe(true);
    expect(describeDifference(readFileSync(path, "utf8"), text)).toBeUndefined();
  });

  test("no value is without an origin in the spec, from the built graphs to the last ones", () => {
    for (const [stage, graph] of traced.stages)
      for (const { name: value, origin } of valuesOf(graph))
        expect(origin, `${stage} ${value}`).toMatch(ORIGIN);
  });

  test("every node of every ONNX file carries a unique name and its origin", () => {
    for (const [file, bytes] of traced.bundle.files) {
      if (!file.endsWith(".onnx")) continue;
      const nodes = decodeModelProto(bytes).graph?.node ?? [];
      expect(nodes.length, file).toBeGreaterThan(0);
      expect(new Set(nodes.map((node) => node.name)).size, file).toBe(nodes.length);
      for (const node of nodes) expect(node.docString, `${file} ${node.name}`).toMatch(ORIGIN);
    }
  });

  test("compiling twice, and with the keys in another order, gives the same bytes", () => {
    const value = parse(goldenSpecText(name)) as unknown;
    for (const text of [goldenSpecText(name), JSON.stringify(value), JSON.stringify(reverseKeys(value))]) {
      const spec = parseSpec(text, "spec");
      expectSameBundle(compile(spec, classesOf(spec), { target: goldenTarget(name) }), traced.bundle);
    }
  });
});

/**
 * Where values come from: a place in the spec, the image, its augmentation, the objective, or a derivative or
 * update of such.
 */
const PLACE = String.raw`image|augment|objective|optimizer|(fcn\.|shared_)layers\[\d+\]|tasks\..+`;
const ORIGIN = new RegExp(String.raw`^((gradient|optimizer|accumulated)\()?(${PLACE})`);

function valuesOf(graph: Graph) {
  return [...graph.inputs, ...graph.constants.keys(), ...graph.nodes.flatMap(({ outputs }) => outputs)];
}

function expectSameBundle(actual: Bundle, expected: Bundle): void {
  expect([...actual.files.keys()]).toEqual([...expected.files.keys()]);
  for (const [file, bytes] of expected.files)
    expect(Buffer.compare(actual.files.get(file) ?? Buffer.alloc(0), bytes), file).toBe(0);
  expect(actual.state).toEqual(expected.state);
  const text = ({ manifest }: Bundle) => JSON.stringify(manifest, null, 1);
  expect(describeDifference(text(expected), text(actual))).toBeUndefined();
}

/** The same value with the keys of every map in reverse. */
function reverseKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reverseKeys);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, reverseKeys(inner)]),
  );
}

const examples = readdirSync(EXAMPLES).filter((name) => existsSync(join(EXAMPLES, name, "spec.yml")));

describe("examples", () => {
  test("there are specs among them", () => expect(examples).toContain("two-heads"));

  test.each(examples)("%s compiles within a second", async (name) => {
    const path = join(EXAMPLES, name, "spec.yml");
    const spec = parseSpec(readFileSync(path, "utf8"), path);
    const models = await readForeignModels(spec, dirname(path), classesOf(spec));
    // Other tests run beside this one: the fastest of a few tries, in processor time.
    let fastest = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 8 && fastest >= COMPILE_MS; i++) {
      const start = process.cpuUsage();
      compile(spec, classesOf(spec), models);
      const { user, system } = process.cpuUsage(start);
      fastest = Math.min(fastest, (user + system) / 1000);
    }
    expect(fastest).toBeLessThan(COMPILE_MS);
  });
});

describe("the golden differ", () => {
  test("tells of a changed, a missing and an added line, and of nothing else", () => {
    const text = "graph g\n%x: f32[] = Input ; x\noutput y = %x\n";
    expect(describeDifference(text, text)).toBeUndefined();
    expect(describeDifference(text, text.replace("f32", "f64"))).toContain("line 2");
    expect(describeDifference(text, text.replace("output y = %x\n", ""))).toContain("line 3");
    expect(describeDifference(text, `${text}output z = %x\n`)).toContain("+ output z");
    expect(describeDifference(text, text.trimEnd())).toContain("line 4");
  });

  test("rewrites only when asked to, and never under CI", () => {
    expect(wantsUpdate({})).toBe(false);
    expect(wantsUpdate({ UPDATE_GOLDEN: "1" })).toBe(true);
    expect(() => wantsUpdate({ UPDATE_GOLDEN: "1", CI: "true" })).toThrow("refused");
  });
});
