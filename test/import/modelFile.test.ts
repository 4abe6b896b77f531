// Reading model files from disk: rows 34 and 35 of the hostile inputs, places beyond the end, and what is
// no file.
import { execFileSync } from "node:child_process";
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { TensorProto } from "../../compiler/codec/protobuf.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { importModel } from "../../compiler/read/onnx/importModel.ts";
import { readModelFile } from "../../runtime/models/modelFile.ts";
import { faultsOf } from "../spec/faultsOf.ts";
import { encodeForeign, imageOf } from "./foreignModel.ts";

let root: string;
let folder: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "mttc-model-"));
  folder = join(root, "model");
  mkdirSync(folder);
  writeFileSync(join(root, "secret.bin"), new Uint8Array(64));
  writeFileSync(join(folder, "w.bin"), new Uint8Array(Float32Array.of(0, 1, 2, 3).buffer));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Writes a model whose weights lie at the place, reads and imports it. */
function importFrom(location: string, offset = 4) {
  const externalData = Object.entries({ location, offset: String(offset), length: "12" }).map(
    ([key, value]) => ({
      key,
      value,
    }),
  );
  const w: TensorProto = { name: "w", dims: [1, 3, 1, 1], dataType: 1, dataLocation: 1, externalData };
  const path = join(folder, "m.onnx");
  writeFileSync(path, encodeForeign({ nodes: [["Conv(x, w) -> y"]], initializers: [w] }));
  return importModel(readModelFile(path).bytes, { ...readModelFile(path), imshape: [6, 5], batch: 2 });
}

const codeFor = (location: string, offset?: number): string =>
  faultsOf(() => importFrom(location, offset))[0]?.code ?? "";

describe("external data", () => {
  test("of the model's own folder, or one below it, is read", () => {
    mkdirSync(join(folder, "deep"));
    writeFileSync(join(folder, "deep", "w.bin"), new Uint8Array(16));
    expect(importFrom("deep/w.bin").graph.nodes).toHaveLength(1);
    const { graph } = importFrom("w.bin");
    const image = imageOf();
    const y = interpret(graph, new Map([["x", image]])).get("y");
    const [plane, first = 0] = [30, y?.data[0]];
    const wanted = [1, 2, 3].reduce((sum, weight, c) => sum + weight * (image.data[c * plane] ?? 0), 0);
    expect(first).toBe(wanted);
  });

  test("is part of the hash: the same file with other weights is another model", () => {
    const hashOf = (): string => {
      importFrom("w.bin");
      const model = readModelFile(join(folder, "m.onnx"));
      importModel(model.bytes, { ...model, imshape: [6, 5], batch: 2 });
      return model.hash();
    };
    const before = hashOf();
    expect(hashOf()).toBe(before);
    writeFileSync(join(folder, "w.bin"), new Uint8Array(Float32Array.of(0, 1, 2, 4).buffer));
    expect(hashOf()).not.toBe(before);
  });

  test("is found beside a model that is reached through links", () => {
    importFrom("w.bin");
    symlinkSync(folder, join(root, "link"));
    symlinkSync(join(folder, "m.onnx"), join(root, "m.onnx"));
    for (const path of [join(root, "link", "m.onnx"), join(root, "m.onnx")]) {
      const model = readModelFile(path);
      expect(importModel(model.bytes, { ...model, imshape: [6, 5], batch: 2 }).graph.nodes).toHaveLength(1);
    }
  });

  test.each(["../secret.bin", "deep/../../secret.bin", "/etc/hostname", "w.bin\0.png", "./../secret.bin"])(
    "%j leads outside: E_MODEL_PATH",
    (location) => {
      expect(codeFor(location)).toBe("E_MODEL_PATH");
    },
  );

  test("a symbolic link, a hard link, a linked folder, a folder: E_MODEL_PATH", () => {
    symlinkSync(join(root, "secret.bin"), join(folder, "soft.bin"));
    symlinkSync("w.bin", join(folder, "inside.bin"));
    linkSync(join(root, "secret.bin"), join(folder, "hard.bin"));
    symlinkSync(root, join(folder, "up"));
    mkdirSync(join(folder, "sub"));
    for (const location of ["soft.bin", "inside.bin", "hard.bin", "up/secret.bin", "sub"])
      expect(codeFor(location), location).toBe("E_MODEL_PATH");
  });

  test("a pipe does not hang: E_MODEL_PATH", () => {
    execFileSync("mkfifo", [join(folder, "pipe")]);
    expect(codeFor("pipe")).toBe("E_MODEL_PATH");
  });

  test("a place beyond the end: E_MODEL_DATA; a file that is not there: E_FILE", () => {
    expect(codeFor("w.bin", 8)).toBe("E_MODEL_DATA");
    expect(codeFor("none.bin")).toBe("E_FILE");
  });
});

describe("the model itself", () => {
  test("that is a folder, a pipe or a device: E_PATH_TYPE at once", () => {
    execFileSync("mkfifo", [join(folder, "pipe")]);
    for (const path of [folder, join(folder, "pipe"), "/dev/zero"])
      expect(faultsOf(() => readModelFile(path))[0]?.code, path).toBe("E_PATH_TYPE");
  });

  test("that is not there: E_FILE; that is too large: E_MODEL_ALLOC", () => {
    expect(faultsOf(() => readModelFile(join(folder, "none.onnx")))[0]?.code).toBe("E_FILE");
    expect(faultsOf(() => readModelFile(join(folder, "w.bin"), 15))[0]?.code).toBe("E_MODEL_ALLOC");
    expect(readModelFile(join(folder, "w.bin"), 16).bytes).toHaveLength(16);
  });
});
