// mttc/compiler by itself: the files that it gives for a spec's text are those that `mttc compile` writes, in
// Node and in a browser, to the bit; what needs a file is refused.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MANIFEST_FILE } from "../../compiler/bundle/manifest.ts";
import { compileText, type TextOptions } from "../../compiler/compileText.ts";
import { HAS_BROWSER, openBrowser } from "../browser/browser.ts";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData, type TinyData } from "../cli/tinyData.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { faultsOf } from "../spec/faultsOf.ts";

const HEAD = "tasks: [species]\nclasses: {species: [fox, owl]}\nimshape: [24, 32]\nbatch_size: 4\n";
const SMALL = "fcn: {layers: [4, p, 6]}\ntrain_fcn: true\n";
const SPECS: Readonly<Record<string, string>> = {
  plain: `${HEAD}${SMALL}`,
  "with much in it": `${HEAD}${SMALL}batchnorm: true
dropout_rate: 0.2
accumulate: 2
optimizer: momentum
weight_decay: 1e-4
augment: {flip_left_right: true, jitter: 0.4, gaussian_blur: 0.3}
lr_decay: 100
decay_type: cosine
`,
  "with a frozen trunk": `${HEAD}fcn: {layers: [4, p]}\ntrain_fcn: false\nshared_layers: [5]\n`,
  "with an imported trunk": `${HEAD}fcn: trunk.onnx\ntrain_fcn: false\n`,
};

let data: TinyData;
let trunk: Uint8Array;
beforeAll(async () => {
  data = await makeTinyData({ epochs: "1", imshape: "[24, 32]" });
  expect((await runCli(data.folder, ["train", "spec.yml"])).code).toBe(0);
  expect((await runCli(data.folder, ["export", "run", "--split"])).code).toBe(0);
  trunk = readFileSync(join(data.folder, "run", "export", "trunk.onnx"));
  writeFileSync(join(data.folder, "trunk.onnx"), trunk);
});
afterAll(async () => await data[Symbol.asyncDispose]());

const options = (): TextOptions => ({ models: new Map([["trunk.onnx", trunk]]) });

describe("the files of a bundle in memory", () => {
  test.each(Object.keys(SPECS))("are those that mttc compile writes: a spec %s", async (name) => {
    const text = SPECS[name] ?? "";
    writeFileSync(join(data.folder, "by-itself.yml"), text);
    const { code, stderr } = await runCli(data.folder, [
      "compile",
      "by-itself.yml",
      "-o",
      "by-itself",
      "--json",
    ]);
    expect([code, stderr.match(/\[E_\w+\]/)]).toEqual([0, null]);
    const written = (file: string): Buffer => readFileSync(join(data.folder, "by-itself", file));
    const { files, manifest } = compileText(text, options());
    const { compiled, ...facts } = JSON.parse(written(MANIFEST_FILE).toString());
    expect(compiled).toBeDefined();
    expect(JSON.parse(JSON.stringify(manifest))).toEqual(facts);
    expect([...files.keys()].filter((file) => file !== MANIFEST_FILE).toSorted()).toEqual(
      Object.keys(facts.files).toSorted(),
    );
    for (const file of Object.keys(facts.files))
      expect([file, Buffer.compare(written(file), files.get(file) ?? new Uint8Array())]).toEqual([file, 0]);
    expect(JSON.parse(new TextDecoder().decode(files.get(MANIFEST_FILE)))).toEqual(facts);
  });

  test("know tasks that no spec can say, over its classes", () => {
    const text = `${SMALL}tasks: [species, {name: marks, kind: tags}]\nclasses: {species: [fox, owl]}\nimshape: 16\n`;
    const marks = { task: "marks", kind: "tags", tags: ["big", "old"], separator: "|" };
    const species = { task: "species", classes: ["fox", "owl", "elk"] };
    const { manifest } = compileText(text, { tasks: [marks, species] });
    expect(manifest.tasks).toMatchObject([{ classes: ["fox", "owl", "elk"] }, { tags: ["big", "old"] }]);
  });
});

describe("what is refused", () => {
  const refused = (text: string, more: TextOptions = {}) =>
    faultsOf(() => compileText(text, { file: "x", ...more }));

  test("is told with its place, all of it at once", () => {
    expect(refused("tasks: [a")).toMatchObject([{ code: "E_CONFIG_PARSE", at: { file: "x", line: 1 } }]);
    const faults = refused(`${HEAD}${SMALL}epochs: many\nlearning_rat: 1\n`);
    expect(faults.map(({ code, at }) => [code, at?.path])).toEqual([
      ["E_CONFIG", "epochs"],
      ["E_CONFIG", "learning_rat"],
    ]);
  });

  test.each([
    ["classes that nobody says", `${SMALL}tasks: [species]\nimshape: 16\n`, {}, "classes.species"],
    [
      "a task that the spec has not",
      `${HEAD}${SMALL}`,
      { tasks: [{ task: "specis", classes: ["a"] }] },
      "tasks",
    ],
    ["weights of another run", `${HEAD}${SMALL}init_from: runs/first\n`, {}, "init_from"],
    ["a teacher", `${HEAD}${SMALL}teacher: big.onnx\n`, {}, "teacher"],
    ["a model that was not given", `${HEAD}fcn: trunk.onnx\ntrain_fcn: false\n`, {}, "fcn"],
  ])("by key: %s", (_, text, more, path) => {
    expect(refused(text, more as TextOptions)).toMatchObject([{ code: "E_CONFIG", at: { path } }]);
  });

  test("a model that is none", () => {
    const models = new Map([["trunk.onnx", new Uint8Array([1, 2, 3])]]);
    const [fault] = refused(`${HEAD}fcn: trunk.onnx\ntrain_fcn: false\n`, { models });
    expect(fault?.code).toBe("E_MODEL_PARSE");
  });
});

test("docs/compiler.md's program runs", async () => {
  const page = readFileSync(join(PROJECT_ROOT, "docs", "compiler.md"), "utf8");
  const [, block = ""] = /<!-- compiler: a test runs this -->\n```js\n([\s\S]*?)```/.exec(page) ?? [];
  const { spawnSync } = await import("node:child_process");
  // Inside the package its own name leads to what it exports.
  const args = ["--input-type=module", "-e", block];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: PROJECT_ROOT,
    encoding: "utf8",
  });
  expect([status, stderr]).toEqual([0, ""]);
  expect(stdout).toMatch(/^train\.onnx \d+\n[\s\S]*^manifest\.json \d+\n\d+ inputs of a training step\n$/m);
});

/** The compiler as one file of a page, which knows it as `mttc`. */
async function bundledCompiler(): Promise<string> {
  const input = join(PROJECT_ROOT, "dist", "compiler", "mttcCompiler.js");
  const built = await rolldown({ input, platform: "browser", logLevel: "silent" });
  const { output } = await built.generate({ format: "iife", name: "mttc", minify: true });
  expect(output).toHaveLength(1);
  expect(output[0].imports).toEqual([]);
  return output[0].code;
}

describe.skipIf(!HAS_BROWSER)("in a browser", () => {
  test("the bytes are Node's, under a strict policy and without a secure context", async () => {
    const code = await bundledCompiler();
    expect(gzipSync(code).length).toBeLessThan(MOST_COMPRESSED);
    await using browser = await openBrowser();
    const page = await browser.page();
    const complaints: string[] = [];
    page.on("pageerror", (error) => void complaints.push(error.message));
    page.on("console", (message) => void complaints.push(message.text()));
    const headers = { "content-security-policy": "default-src 'none'; script-src 'self'" };
    await page.route("http://mttc.test/**", async (route) => {
      const isScript = route.request().url().endsWith(".js");
      const body = isScript ? code : '<!doctype html><meta charset="utf-8"><script src="/mttc.js"></script>';
      const contentType = isScript ? "text/javascript" : "text/html";
      await route.fulfill({ body, contentType, headers });
    });
    await page.goto("http://mttc.test/");
    for (const text of Object.values(SPECS)) {
      const theirs = await page.evaluate(compileInPage, [
        text,
        Buffer.from(trunk).toString("base64"),
      ] as const);
      const ours = [...compileText(text, options()).files];
      expect(theirs.map(([name]) => name)).toEqual(ours.map(([name]) => name));
      for (const [i, [name, bytes]] of ours.entries())
        expect([name, theirs[i]?.[1] === Buffer.from(bytes).toString("base64")]).toEqual([name, true]);
    }
    expect(complaints).toEqual([]);
  });
});

const MOST_COMPRESSED = 300_000;

/** Runs inside the page. */
async function compileInPage([text, model]: readonly [string, string]): Promise<[string, string][]> {
  const { mttc } = globalThis as unknown as {
    mttc: { compileText: (text: string, options: object) => { files: Map<string, Uint8Array> } };
  };
  const bytes = Uint8Array.from(atob(model), (letter) => letter.charCodeAt(0));
  const { files } = mttc.compileText(text, { models: new Map([["trunk.onnx", bytes]]) });
  const encoded = (content: Uint8Array): string => {
    let letters = "";
    for (const byte of content) letters += String.fromCharCode(byte);
    return btoa(letters);
  };
  return [...files].map(([name, content]) => [name, encoded(content)]);
}
