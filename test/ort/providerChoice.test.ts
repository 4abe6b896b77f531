// What the user asks for becomes a provider: `auto` never fails for want of CUDA, is silent where CUDA was
// never set up, and says in one line why a CUDA provider that is there cannot be used.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MttcError } from "../../compiler/diagnostics.ts";
import { PROVIDER_FILES } from "../../runtime/ort/cudaLibraries.ts";
import { OrtHost } from "../../runtime/ort/ortHost.ts";
import type { Provider } from "../../runtime/ort/provider.ts";
import { locateForProvider, openProvider } from "../../runtime/ort/providerChoice.ts";
import { parseProvider } from "../../runtime/ort/providerName.ts";
import { cudaOptions } from "../../runtime/ort/providerOptions.ts";
import { ortOptions } from "../../runtime/ort/runtimeOptions.ts";
import { rejection } from "./rejection.ts";

/** A folder with the files of core and CUDA provider, all empty. */
let folder: string;
let core: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "mttc-provider-"));
  core = path.join(folder, "libonnxruntime.so.1");
  for (const file of [core, ...PROVIDER_FILES.map((name) => path.join(folder, name))])
    writeFileSync(file, "");
});
afterAll(() => rmSync(folder, { recursive: true }));

const auto = { kind: "auto", tf32: false } as const;
const here = { platform: process.platform, arch: process.arch };

test("names of providers are read, others refused", () => {
  expect(parseProvider("cpu", true)).toEqual({ kind: "cpu" });
  expect(parseProvider("cuda", true)).toEqual({ kind: "cuda", device: 0, tf32: true });
  expect(parseProvider("cuda:3", false)).toEqual({ kind: "cuda", device: 3, tf32: false });
  expect(parseProvider("auto", false)).toEqual(auto);
  for (const name of ["gpu", "cuda:", "cuda:x", "CUDA", ""])
    expect(parseProvider(name, false)).toBe(undefined);
  expect(() => ortOptions({ executionProvider: "gpu" as "cuda" }, false)).toThrow("E_USAGE");
});

test("auto takes CUDA where it opens, and is silent where there is no provider", () => {
  const opened: Provider[] = [];
  const open = (provider: Provider) => opened.push(provider);
  expect(openProvider(auto, core, open).provider.kind).toBe("cuda");
  const without = openProvider(auto, path.join(tmpdir(), "no-such-folder", "libonnxruntime.so.1"), open);
  expect(without).toMatchObject({ provider: { kind: "cpu" }, note: undefined });
  expect(opened.map(({ kind }) => kind)).toEqual(["cuda", "cpu"]);
});

test("auto says in one line why it is the CPU, and cuda fails with the fault itself", () => {
  const open = (provider: Provider) => {
    if (provider.kind === "cuda")
      throw new MttcError([
        {
          code: "E_CUDA_LIBRARY",
          message: "libcudnn.so.9 is missing",
          hint: "`pip install nvidia-cudnn-cu13`",
        },
        { code: "E_CUDA_LIBRARY", message: "libcurand.so.10 is missing" },
      ]);
    return provider.kind;
  };
  const { provider, note } = openProvider(auto, core, open);
  expect(provider.kind).toBe("cpu");
  expect(note).toBe(
    "running on the CPU: libcudnn.so.9 is missing (and 1 more: `mttc doctor`); `pip install nvidia-cudnn-cu13`",
  );
  expect(() => openProvider({ kind: "cuda", device: 0, tf32: false }, core, open)).toThrow("libcudnn.so.9");
});

test("what mttc setup-cuda brought is used for cuda and auto, unless a library is named", () => {
  expect(locateForProvider(auto, undefined, here, folder)).toBe(core);
  expect(locateForProvider({ kind: "cpu" }, undefined, here, folder)).not.toBe(core);
  expect(locateForProvider(auto, undefined, here, path.join(folder, "none"))).not.toBe(core);
  const named = locateForProvider({ kind: "cpu" }, undefined, here);
  expect(locateForProvider(auto, named, here, folder)).toBe(named);
  expect(locateForProvider(auto, undefined, { ...here, ortFolder: path.dirname(named) }, folder)).toBe(named);
});

test("cuda without its provider beside the core is E_CUDA_LIBRARY with the command that brings it", async () => {
  const packaged = locateForProvider({ kind: "cpu" }, undefined, here);
  const provider = { kind: "cuda", device: 0, tf32: false } as const;
  const error = await rejection(OrtHost.start({ provider, libraryPath: packaged }));
  expect(error.code).toBe("E_CUDA_LIBRARY");
  expect(error.message).toContain("libonnxruntime_providers_cuda.so");
  expect(error.message).toContain("mttc setup-cuda");
});

test("options of the CUDA provider are spelled as ONNX Runtime spells them", () => {
  expect(cudaOptions({ kind: "cuda", device: 2, tf32: true, memoryLimitBytes: 2 ** 30 })).toEqual({
    device_id: "2",
    cudnn_conv_algo_search: "EXHAUSTIVE",
    use_tf32: "1",
    arena_extend_strategy: "kSameAsRequested",
    prefer_nhwc: "0",
    do_copy_in_default_stream: "1",
    enable_cuda_graph: "0",
    gpu_mem_limit: "1073741824",
  });
  expect(cudaOptions({ kind: "cuda", device: 0, tf32: false }, true)).toMatchObject({
    enable_cuda_graph: "1",
  });
});
