// Finding and opening ONNX Runtime: every way in which that can fail says what is missing.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MttcError } from "../../compiler/diagnostics.ts";
import { currentSurroundings, locateOrtLibrary, OrtLibrary } from "../../runtime/ort/library.ts";
import { OrtHost } from "../../runtime/ort/ortHost.ts";
import { rejection } from "./rejection.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "mttc-lib-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const here = { ...currentSurroundings(), ortFolder: undefined };

function loadFault(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof MttcError && error.code === "E_ORT_LOAD") return error.message;
    throw error;
  }
  return "no error";
}

test("the library of onnxruntime-node is found, and by its folder too", () => {
  const file = locateOrtLibrary(undefined, here);
  expect(locateOrtLibrary(path.dirname(file), here)).toBe(file);
  expect(locateOrtLibrary(undefined, { ...here, ortFolder: path.dirname(file) })).toBe(file);
  using library = OrtLibrary.open(file, here);
  expect(library.version).toBe("1.29.0");
});

test("libraries of macOS and Windows are found under their own names", () => {
  const mac = locateOrtLibrary(undefined, { platform: "darwin", arch: "arm64" });
  expect(path.basename(mac)).toBe("libonnxruntime.1.29.0.dylib");
  const windows = locateOrtLibrary(undefined, { platform: "win32", arch: "x64" });
  expect(path.basename(windows)).toBe("onnxruntime.dll");
});

test("E_ORT_LOAD says what is missing", () => {
  const empty = mkdtempSync(path.join(folder, "empty-"));
  expect(loadFault(() => locateOrtLibrary(undefined, { platform: "plan9", arch: "mips" }))).toContain(
    "plan9-mips",
  );
  expect(loadFault(() => locateOrtLibrary(empty, here))).toContain("libonnxruntime");
  expect(loadFault(() => locateOrtLibrary(path.join(folder, "nowhere"), here))).toContain("nowhere");
  const environment = { ...here, ortFolder: path.join(folder, "gone") };
  expect(loadFault(() => locateOrtLibrary(undefined, environment))).toContain("MTTC_ORT_DIR");
});

test("a file that is no library is E_ORT_LOAD, through the thread too", async () => {
  const file = path.join(folder, "libonnxruntime.so.1");
  writeFileSync(file, "not a library");
  expect(loadFault(() => OrtLibrary.open(file, here))).toContain(file);
  const error = await rejection(OrtHost.start({ libraryPath: file }));
  expect(error.code).toBe("E_ORT_LOAD");
  expect(error.faults[0]?.hint).toBeDefined();
});
