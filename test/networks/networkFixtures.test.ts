// The smallest networks of the list, exported by both of PyTorch's exporters, as tests (fixtures:
// `export_networks.py FOLDER --form script --form dynamo fixture-vit ...`, and gzip -9): a class token
// and registers, windows shifted and merged with the batch, grids, linear layers along the tokens.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { FAMILY_FLOAT32 } from "../tolerances.ts";
import { tryNetwork } from "./tryNetwork.ts";

const FOLDER = join(PROJECT_ROOT, "test/fixtures/networks");
const STEMS = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".onnx.gz"))
  .map((name) => name.replace(".onnx.gz", ""));

const folder = mkdtempSync(join(tmpdir(), "mttc-networks-"));
const library = OrtLibrary.open();
afterAll(() => {
  library[Symbol.dispose]();
  rmSync(folder, { recursive: true });
});

describe.each(STEMS)("%s", (stem) => {
  test("features and all gradients are PyTorch's, frozen, trained and compiled", async () => {
    for (const ending of ["onnx", "safetensors"])
      writeFileSync(
        join(folder, `${stem}.${ending}`),
        gunzipSync(readFileSync(join(FOLDER, `${stem}.${ending}.gz`))),
      );
    const trial = await tryNetwork({ library, stem: join(folder, stem), isBatchFixed: false });
    expect(trial.fault).toBeUndefined();
    expect(trial.featuresError).toBeLessThan(FAMILY_FLOAT32);
    const { gradients } = trial;
    expect(gradients?.worst.error).toBeLessThan(FAMILY_FLOAT32);
    expect([gradients?.missed, gradients?.ours]).toEqual([[], gradients?.theirs]);
  });
});

test("each kind is there in both forms", () => {
  expect(STEMS).toHaveLength(8);
});
