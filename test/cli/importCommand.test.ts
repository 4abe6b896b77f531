// `mttc import`: the ONNX file that it writes gives what the graph gives; refusals come with a code.
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { OrtSession } from "../../runtime/ort/session.ts";
import { runCli } from "./runCli.ts";

const folder = mkdtempSync(join(tmpdir(), "mttc-import-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
copyFileSync(join(import.meta.dirname, "../fixtures/keras/mobile.keras"), join(folder, "mobile.keras"));

describe("mttc import", () => {
  it("writes a Keras model as ONNX and says what is in it", async () => {
    const run = await runCli(folder, ["import", "mobile.keras", "-o", "trunk.onnx", "--imshape", "16", "24"]);
    expect(run.stderr).toMatch(/note: .*any size.*16x24/);
    expect(run.stdout).toMatch(/input +image +f32\[N,3,16,24\]/);
    expect(run.stdout).toMatch(/written to trunk\.onnx/);
    expect(run.code).toBe(0);
    using library = OrtLibrary.open();
    using session = OrtSession.open(
      library,
      "trunk",
      { bytes: readFileSync(join(folder, "trunk.onnx")) },
      {},
    );
    expect(session.inputs.map(({ name }) => name)).toEqual(["image"]);
    expect(session.outputs.map(({ name }) => name)).toEqual(["gated"]);
  });

  it("refuses a model of open size without --imshape, and files that are no Keras models", async () => {
    const open = await runCli(folder, ["import", "mobile.keras", "-o", "other.onnx"]);
    expect(open.stderr).toMatch(/mobile\.keras: layer image: .*E_MODEL_PARSE.*\n.*imshape/);
    expect(open.code).toBe(2);
    const onnx = await runCli(folder, ["import", "trunk.onnx", "-o", "other.onnx"]);
    expect(onnx.stderr).toMatch(/E_USAGE/);
    expect(onnx.code).toBe(2);
  });
});
