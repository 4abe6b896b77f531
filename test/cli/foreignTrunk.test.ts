// An imported trunk on the command line: what inspect says of it, and models that are mistyped, missing, no
// files, cut short or too large for the images: exit code 2 and a message that says where.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "./runCli.ts";

const fixtures = join(import.meta.dirname, "..", "fixtures");
const folder = mkdtempSync(join(tmpdir(), "mttc-trunk-"));

beforeAll(() => {
  for (const [from, to] of [
    ["import/residual-17-training.onnx", "residual.onnx"],
    ["import/groups-18.onnx", "groups.onnx"],
    ["keras/mobile.h5", "mobile.h5"],
  ] as const) {
    const bytes = readFileSync(join(fixtures, from));
    writeFileSync(join(folder, to), bytes);
    writeFileSync(join(folder, `cut-${to}`), bytes.subarray(0, bytes.length / 2));
  }
  mkdirSync(join(folder, "saved"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** `mttc inspect` of a spec with these lines about its fcn. */
async function inspect(lines: string, side = 32, ...flags: string[]) {
  const rest = `tasks: [kind]\nclasses: {kind: [a, b]}\nshared_layers: [6]\ntask_layers: [4]\nbatch_size: 4\n`;
  writeFileSync(join(folder, "spec.yml"), `${rest}imshape: [${side}, ${side}]\n${lines}\n`);
  return await runCli(folder, ["inspect", "spec.yml", ...flags]);
}

describe("inspect", () => {
  it("shows where a frozen trunk was cut, as a note and not as a warning", async () => {
    const { code, stdout } = await inspect("fcn: residual.onnx");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^cut at +\/trunk\/Relu_2_output_0 \(chosen; fcn\.output changes it\)$/m);
    expect(stdout).toMatch(/^features +6 x 8 x 8, of images 3 x 32 x 32$/m);
    expect(stdout).toMatch(/^trains +nothing \(train_fcn: false\)$/m);
    expect(stdout).toMatch(/^batch norms +2, frozen$/m);
    expect(stdout).toMatch(/^note: fcn: features are taken from .* 3 nodes after it are left out$/m);
    expect(stdout).not.toContain("warning:");
  });

  it("shows from where on a trunk trains, by the node's name in the file", async () => {
    const lines = 'fcn: {path: residual.onnx, batchnorm: train}\ntrain_fcn: {from: "/trunk/conv1/Conv"}';
    const { trunk, parts, notes } = JSON.parse((await inspect(lines, 32, "--json")).stdout);
    expect(trunk).toMatchObject({ nodes: 11, from: "/trunk/conv1/Conv", norms: 2, trainedNorms: 1 });
    expect(trunk.trainedNodes).toBeLessThan(11);
    expect(parts[0].trained).toBeGreaterThan(0);
    expect(parts[0].frozen).toBeGreaterThan(0);
    expect(notes.join("\n")).toContain("dropout layers are left out");
  });

  it("cuts where it is told: at a value or a node of an ONNX file, at a layer of a Keras model", async () => {
    for (const output of ["/trunk/Relu_1", "/trunk/Relu_1_output_0"]) {
      const { stdout } = await inspect(`fcn: {path: residual.onnx, output: ${output}}`);
      expect(stdout).toMatch(/^cut at +\/trunk\/Relu_1_output_0$/m);
    }
    const { stdout } = await inspect("fcn: {path: mobile.h5, output: expand}");
    expect(stdout).toMatch(/^cut at +expand/m);
  });
});

describe("a model that cannot be used", () => {
  it.each([
    [
      "a mistyped key",
      "fcn: {path: residual.onnx, outptu: x}",
      /spec\.yml:7:\d+: .*"outptu".*E_CONFIG[\s\S]*"output"/,
    ],
    [
      "a mistyped output",
      "fcn: {path: residual.onnx, output: /trunk/Relu_9}",
      /residual\.onnx: fcn\.output: .*E_MODEL_OUTPUT[\s\S]*nearest/,
    ],
    [
      "a mistyped layer",
      "fcn: {path: mobile.h5, output: gatd}",
      /mobile\.h5: fcn\.output: .*E_MODEL_OUTPUT[\s\S]*gated/,
    ],
    [
      "a mistyped node to train from",
      "fcn: residual.onnx\ntrain_fcn: {from: /trunk/conv2/Con}",
      /train_fcn\.from: .*E_MODEL_OUTPUT[\s\S]*"\/trunk\/conv2\/Conv"/,
    ],
    [
      "a wrong path",
      "fcn: gone.onnx",
      /gone\.onnx: fcn: cannot read the model: it does not exist \(ENOENT\) \[E_FILE\][\s\S]*spec's folder/,
    ],
    [
      "a wrong path to a Keras model",
      "fcn: gone.h5",
      /gone\.h5: fcn: cannot read the model: it does not exist \(ENOENT\) \[E_FILE\]/,
    ],
    [
      "a folder",
      "fcn: saved",
      /saved: fcn: expected a model file, found a folder \[E_PATH_TYPE\][\s\S]*SavedModel/,
    ],
    [
      "an ONNX file cut short",
      "fcn: cut-residual.onnx",
      /cut-residual\.onnx: fcn: .*cut short.*E_MODEL_PARSE/,
    ],
    ["a Keras file cut short", "fcn: cut-mobile.h5", /cut-mobile\.h5: fcn: .*cut short.*E_MODEL_PARSE/],
    [
      "means for other channels",
      "fcn: {path: residual.onnx, mean: [1, 2]}",
      /fcn\.mean: expected one number, or 3 .*E_CONFIG/,
    ],
    [
      "a Keras teacher without the tasks",
      "fcn: residual.onnx\nteacher: mobile.h5\ndistill_weight: 1",
      /mobile\.h5: teacher: .*probabilities\/kind.*E_MODEL_OUTPUT/,
    ],
    [
      "a size that the file has fixed",
      "fcn: groups.onnx",
      /groups\.onnx: .*E_MODEL_SHAPE[\s\S]*16x16.*imshape/,
    ],
  ])("is refused: %s", async (_what, lines, message) => {
    const { code, stderr } = await inspect(lines);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });

  it("is refused where the images are too small for it", async () => {
    const { code, stderr } = await inspect("fcn: mobile.h5", 2);
    expect(stderr).toMatch(/mobile\.h5: strided: .*3x3.*1x1 \[E_SHAPE\]\n.*images are 2x2 \(imshape\)/);
    expect(code).toBe(2);
  });
});
