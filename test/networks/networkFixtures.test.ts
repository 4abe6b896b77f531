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
import { FAMILY_FLOAT32, FOLDED_FLOAT32 } from "../tolerances.ts";
import type { Float64Trial } from "./float64Trial.ts";
import { tryNetwork } from "./tryNetwork.ts";
import { verdictOf } from "./verdict.ts";

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
  test("features and all gradients are PyTorch's, frozen, trained and compiled, in float64 too", async () => {
    for (const ending of ["onnx", "safetensors"])
      writeFileSync(
        join(folder, `${stem}.${ending}`),
        gunzipSync(readFileSync(join(FOLDER, `${stem}.${ending}.gz`))),
      );
    const trial = await tryNetwork({
      library,
      stem: join(folder, stem),
      isBatchFixed: false,
      alwaysInFloat64: true,
    });
    expect(trial.fault).toBeUndefined();
    expect(trial.featuresError).toBeLessThan(FAMILY_FLOAT32);
    const { gradients } = trial;
    expect(gradients?.worst.error).toBeLessThan(FAMILY_FLOAT32);
    expect(trial.float64?.error).toBeLessThan(FOLDED_FLOAT32);
    expect(trial.float64?.elsewhere).toBeLessThan(FAMILY_FLOAT32);
    expect([gradients?.missed, gradients?.ours]).toEqual([[], gradients?.theirs]);
  });
});

test("each kind is there in both forms", () => {
  expect(STEMS).toHaveLength(8);
});

describe("a network whose float32 gradients are too far off", () => {
  const facts = {
    ...{ network: "net", form: "script", side: 8, batch: 1, parameters: [] },
    transformer: false,
  };
  const counts = { compared: 1, theirs: 1, ours: 1, missed: [], others: [] };
  const verdict = (error: number, gap: number, float64?: Float64Trial) =>
    verdictOf({
      facts: { ...facts, gap, folded: [] },
      featuresError: 1e-6,
      gradients: { ...counts, worst: { name: "w", error } },
      ...(float64 && { float64 }),
      seconds: 1,
    });

  test("is wrong, if nothing else is known or the interpreter is off too", () => {
    expect(verdict(9e-5, 2e-6)).toBe("right");
    expect(verdict(6e-4, 2e-6)).toBe("WRONG");
    expect(verdict(6e-4, 2e-6, { error: 6e-4, elsewhere: 1e-6 })).toBe("WRONG");
    expect(verdict(6e-4, 2e-4, { error: Number.NaN, elsewhere: 1e-6 })).toBe("WRONG");
  });

  test("is right where it is near on another image: a kink", () => {
    expect(verdict(6e-4, 2e-6, { error: 1e-6, elsewhere: 2e-6 })).toContain("a kink");
    expect(verdict(6e-4, 2e-6, { error: 1e-6, elsewhere: 3e-4 })).toBe("WRONG");
  });

  test("is right where PyTorch's own float32 is as far off, not where it is nearer", () => {
    expect(verdict(3e-4, 2e-4, { error: 1e-6, elsewhere: 3e-4 })).toContain("as far as PyTorch's");
    expect(verdict(9e-4, 2e-4, { error: 1e-6, elsewhere: 1e-6 })).toBe("WRONG");
  });
});
