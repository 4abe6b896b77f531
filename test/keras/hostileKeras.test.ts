// Keras files that are damaged, incomplete or hostile: a typed error that names the file, and the layer
// where there is one; no crash, no hang, no code run.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { strFromU8, strToU8, unzipSync, zipSync } from "fflate";
import { afterAll, describe, expect, it } from "vitest";
import { hashName } from "../../compiler/codec/philox.ts";
import { type ErrorCode, MttcError } from "../../compiler/diagnostics.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { importKeras, type KerasSource } from "../../compiler/read/keras/importKeras.ts";
import { importKerasFile, readKerasFile } from "../../runtime/models/kerasFile.ts";

const fixtures = join(import.meta.dirname, "../fixtures/keras");
const scratch = mkdtempSync(join(tmpdir(), "mttc-keras-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const h5 = readFileSync(join(fixtures, "sequential.h5"));
const archive = unzipSync(readFileSync(join(fixtures, "sequential.keras")));
const source = await readKerasFile(join(fixtures, "sequential.keras"));

/** A number from 0 to 1 for each place of each trial. */
function uniformAt(trial: number, place: number): number {
  return (hashName(`${trial}/${place}`) >>> 0) / 2 ** 32;
}

/** The error with which importing these bytes is refused. */
async function refusal(name: string, bytes: Uint8Array): Promise<MttcError> {
  const path = join(scratch, name);
  writeFileSync(path, bytes);
  return await refusalOf(() => importKerasFile(path, { ops: OPS }));
}

async function refusalOf(body: () => unknown): Promise<MttcError> {
  try {
    await body();
  } catch (error) {
    if (error instanceof MttcError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

/** The .keras fixture with its config's text changed. */
function withConfig(change: (text: string) => string): KerasSource {
  const text = strFromU8(archive["config.json"]!);
  const changed = change(text);
  if (changed === text) throw new Error("the config is as it was");
  return { ...source, model: JSON.parse(changed) as unknown };
}

async function refusedConfig(change: (text: string) => string): Promise<MttcError> {
  return await refusalOf(() => importKeras(withConfig(change), { ops: OPS }));
}

describe("a damaged file", () => {
  it.each([0, 3, 500, 20_000])("that ends after %i bytes is refused", async (size) => {
    expect((await refusal("short.h5", h5.subarray(0, size))).code).toBe("E_MODEL_PARSE");
    const zip = zipSync(archive, { level: 0 });
    expect((await refusal("short.keras", zip.subarray(0, size))).code).toBe("E_MODEL_PARSE");
  });

  it("of random bytes behind the right signature is refused, and names itself", async () => {
    const noise = Uint8Array.from({ length: 5000 }, (_, i) => uniformAt(1, i) * 256);
    noise.set(h5.subarray(0, 8));
    const error = await refusal("noise.h5", noise);
    expect(error.code).toBe("E_MODEL_PARSE");
    expect(error.message).toContain("noise.h5");
  });

  it("with bytes changed anywhere gives a model or a typed error, and the next file can be read", async () => {
    for (let trial = 0; trial < 25; trial++) {
      const bytes = Uint8Array.from(h5);
      for (let i = 0; i < 1 + (trial % 6); i++) {
        const at = Math.floor(uniformAt(trial, 2 * i) * (trial % 2 ? 3000 : bytes.length));
        bytes[at] = uniformAt(trial, 2 * i + 1) * 256;
      }
      const path = join(scratch, "changed.h5");
      writeFileSync(path, bytes);
      const result = await importKerasFile(path, { ops: OPS }).catch((error: unknown) => error);
      expect(result instanceof MttcError || (typeof result === "object" && "graph" in result!)).toBe(true);
    }
    await importKerasFile(join(fixtures, "sequential.h5"), { ops: OPS });
  });
});

describe("an archive", () => {
  it.each(["config.json", "metadata.json", "model.weights.h5"])("without %s is refused", async (name) => {
    const { [name]: _, ...rest } = archive;
    const error = await refusal("part.keras", zipSync(rest));
    expect(error.message).toContain(`the archive has no ${name}`);
  });

  it("that unpacks to far more than it has is refused before it does", async () => {
    const bomb = zipSync({ ...archive, "config.json": new Uint8Array(70 << 20) });
    expect((await refusal("bomb.keras", bomb)).code).toBe("E_MODEL_ALLOC");
  });

  it("whose config is no JSON, or nested without end, is refused", async () => {
    for (const text of ["{", `${"[".repeat(200_000)}`]) {
      const error = await refusal("json.keras", zipSync({ ...archive, "config.json": strToU8(text) }));
      expect(error.code).toBe("E_MODEL_PARSE");
    }
  });
});

describe("a model", () => {
  const cases: readonly [string, (text: string) => string, ErrorCode, RegExp][] = [
    ["of a class of its own", (t) => t.replace('"Sequential"', '"MyModel"'), "E_MODEL_OP", /MyModel/],
    [
      "with a Lambda layer",
      (t) => t.replace('"class_name": "Dropout"', '"class_name": "Lambda"'),
      "E_MODEL_OP",
      /layer drop: .*Lambda.*\n.*never run/,
    ],
    [
      "with a layer that is not known",
      (t) => t.replace('"class_name": "Dropout"', '"class_name": "Conv2DD"'),
      "E_MODEL_OP",
      /layer drop: .*Conv2DD.*\n.*Conv2D/,
    ],
    [
      "with an activation that is not known",
      (t) => t.replace('"activation": "softmax"', '"activation": "softest"'),
      "E_MODEL_OP",
      /layer classes: .*softest/,
    ],
    ["with two layers of a name", (t) => t.replaceAll('"norm2"', '"norm1"'), "E_MODEL_PARSE", /layer norm1/],
    [
      "with strides of 0",
      (t) => t.replace('"strides": [2, 2]', '"strides": [0, 2]'),
      "E_MODEL_PARSE",
      /layer conv1: strides/,
    ],
    [
      "with kernels of a gigapixel",
      (t) => t.replace('"kernel_size": [2, 3]', '"kernel_size": [1e9, 3]'),
      "E_MODEL_PARSE",
      /layer conv2: kernel_size/,
    ],
    [
      "with filters that are text",
      (t) => t.replace('"filters": 6', '"filters": "6"'),
      "E_MODEL_PARSE",
      /layer conv1: filters/,
    ],
    [
      "with other filters than its weights",
      (t) => t.replace('"filters": 6', '"filters": 7'),
      "E_MODEL_PARSE",
      /layer conv1: its weight "kernel" is \[3,3,3,6\], expected \[3,3,3,7\]/,
    ],
    [
      "with a bias too many in the file",
      (t) =>
        t.replace(
          '"units": 4, "activation": "softmax", "use_bias": true',
          '"units": 4, "activation": "softmax", "use_bias": false',
        ),
      "E_MODEL_PARSE",
      /layer classes: the file has more weights/,
    ],
    [
      "with a window larger than its image",
      (t) => t.replace('"batch_shape": [null, 13, 11, 3]', '"batch_shape": [null, 2, 2, 3]'),
      "E_SHAPE",
      /conv2/,
    ],
    [
      "without layers",
      () => '{"class_name": "Sequential", "config": {"layers": []}}',
      "E_MODEL_PARSE",
      /no layers/,
    ],
    ["that is a number", () => "3", "E_MODEL_PARSE", /not an object/],
  ];

  it.each(cases)("%s is refused, with its name", async (_, change, code, message) => {
    const error = await refusedConfig(change);
    expect(error.message).toMatch(message);
    expect(error.code).toBe(code);
    expect(error.message).toContain("sequential.keras");
  });

  it("without the weights of a layer is refused, and names the layer", async () => {
    if (source.weights.kind !== "by-path") throw new Error("not a .keras file");
    const arrays = new Map([...source.weights.arrays].filter(([path]) => !path.includes("conv2d_1")));
    const error = await refusalOf(() =>
      importKeras({ ...source, weights: { kind: "by-path", arrays } }, { ops: OPS }),
    );
    expect(error.message).toMatch(/layer conv2: the file has no weight "kernel"/);
  });

  it("whose layers depend on one another in a circle, or on none, is refused", async () => {
    const functional = (inbound: string): unknown => ({
      class_name: "Functional",
      config: {
        layers: [
          {
            class_name: "InputLayer",
            name: "a",
            config: { batch_shape: [null, 4, 4, 1] },
            inbound_nodes: [],
          },
          { class_name: "ReLU", name: "b", config: {}, inbound_nodes: [[["c", 0, 0, {}]]] },
          { class_name: "ReLU", name: "c", config: {}, inbound_nodes: [[[inbound, 0, 0, {}]]] },
        ],
        input_layers: [["a", 0, 0]],
        output_layers: [["c", 0, 0]],
      },
    });
    const refused = (inbound: string) =>
      refusalOf(() => importKeras({ ...source, model: functional(inbound) }, { ops: OPS }));
    expect((await refused("b")).message).toMatch(/depends on its own result/);
    expect((await refused("nowhere")).message).toMatch(/there is no layer nowhere/);
    const { graph } = importKeras({ ...source, model: functional("a") }, { ops: OPS });
    expect(graph.nodes).toHaveLength(1);
  });

  it("that leaves the size of its images open asks for imshape, and one that fixes it refuses another", async () => {
    const open = await refusalOf(() => importKerasFile(join(fixtures, "mobile.keras"), { ops: OPS }));
    expect(open.message).toMatch(/imshape/);
    const other = await refusalOf(() => importKeras(source, { ops: OPS, imshape: [32, 32] }));
    expect(other.code).toBe("E_SHAPE");
    expect(other.message).toMatch(/13x11.*32x32/);
  });
});
