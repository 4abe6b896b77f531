// NVIDIA's libraries are found where people have them, loaded in order, and each missing one is named with
// the command that brings it; no such library is needed here.
import path from "node:path";
import { expect, test } from "vitest";
import {
  CUDA_DRIVER,
  CUDA_LIBRARIES,
  type CudaSurroundings,
  cudaFolders,
  findCudaLibraries,
  loadCudaLibraries,
  missingProviderFiles,
} from "../../runtime/ort/cudaLibraries.ts";

/** A machine that has these files and nothing else. */
function machine(files: readonly string[], environment: Record<string, string> = {}): CudaSurroundings {
  const entries = files.flatMap((file) => {
    const parts = file.split("/");
    return parts
      .slice(1)
      .map((_, i) => [parts.slice(0, i + 1).join("/") || "/", parts[i + 1] ?? ""] as const);
  });
  const list = (folder: string) => [
    ...new Set(entries.flatMap(([parent, name]) => (parent === folder ? [name] : []))),
  ];
  return { environment, home: "/home/ada", list, exists: (file) => files.includes(file) };
}

const site = "/opt/venv/lib/python3.12/site-packages";
const wheels = [
  `${site}/nvidia/cu13/lib/libcudart.so.13`,
  `${site}/nvidia/cu13/lib/libcublasLt.so.13`,
  `${site}/nvidia/cu13/lib/libcublas.so.13`,
  `${site}/nvidia/cu13/lib/libcurand.so.10`,
  `${site}/nvidia/cudnn/lib/libcudnn.so.9`,
];

test("the wheels of a Python environment are found: active, on the PATH, or of the user", () => {
  const paths = (around: CudaSurroundings) => findCudaLibraries(around).map((state) => state.path);
  expect(paths(machine(wheels, { VIRTUAL_ENV: "/opt/venv" }))).toEqual(wheels);
  expect(paths(machine(wheels, { CONDA_PREFIX: "/opt/venv" }))).toEqual(wheels);
  expect(paths(machine(wheels, { PATH: "/usr/sbin:/opt/venv/bin" }))).toEqual(wheels);
  const own = wheels.map((file) => file.replace("/opt/venv", "/home/ada/.local"));
  expect(paths(machine(own))).toEqual(own);
  expect(paths(machine(wheels)).every((found) => found === undefined)).toBe(true);
});

test("MTTC_CUDA_LIBS comes first, then wheels, then CUDA's own folders of version 13, LD_LIBRARY_PATH last", () => {
  const toolkits = [
    "/usr/local/cuda/lib64/x",
    "/usr/local/cuda-13.0/lib64/x",
    "/usr/local/cuda-12.4/lib64/x",
  ];
  const environment = {
    MTTC_CUDA_LIBS: "/mine:/other",
    VIRTUAL_ENV: "/opt/venv",
    LD_LIBRARY_PATH: "/late:/mine",
  };
  expect(cudaFolders(machine([...wheels, ...toolkits], environment))).toEqual([
    "/mine",
    "/other",
    `${site}/nvidia/cu13/lib`,
    `${site}/nvidia/cudnn/lib`,
    "/usr/local/cuda/lib64",
    "/usr/local/cuda-13.0/lib64",
    "/late",
  ]);
});

test("libraries are loaded in the order of their needs, the driver first, and held", () => {
  const order: string[] = [];
  const load = (file: string): object => {
    order.push(file);
    return { file };
  };
  const { handles, faults, loaded } = loadCudaLibraries(machine(wheels, { VIRTUAL_ENV: "/opt/venv" }), load);
  expect(faults).toEqual([]);
  expect(order).toEqual([CUDA_DRIVER, ...wheels]);
  expect(handles).toHaveLength(order.length);
  expect(loaded.map(({ file }) => file)).toEqual([CUDA_DRIVER, ...CUDA_LIBRARIES.map(({ file }) => file)]);
});

test("cuDNN's compiler is loaded where it is found, and no fault where it is not", () => {
  const compiler = `${site}/nvidia/cu13/lib/libnvrtc.so.13`;
  const environment = { VIRTUAL_ENV: "/opt/venv" };
  const names = (files: readonly string[]) =>
    loadCudaLibraries(machine(files, environment), (file) => ({ file })).loaded.map(
      ({ path: found }) => found,
    );
  expect(names([...wheels, compiler])).toEqual([CUDA_DRIVER, ...wheels, compiler]);
  expect(names(wheels)).toEqual([CUDA_DRIVER, ...wheels]);
});

test("what no folder has is left to the system's loader by its bare name", () => {
  const { loaded } = loadCudaLibraries(machine([]), (file) => ({ file }));
  expect(loaded.every((library) => library.path === library.file)).toBe(true);
});

test("every missing library is named, with its command; one of another version is shown", () => {
  const old = "/usr/local/cuda/lib64/libcublas.so.12";
  const refuse = (file: string): object => {
    throw new Error(`${file}: cannot open shared object file`);
  };
  const { faults, handles } = loadCudaLibraries(machine([old]), refuse);
  expect(handles).toEqual([]);
  expect(faults.map(({ code }) => code)).toEqual([
    "E_CUDA_DEVICE",
    ...CUDA_LIBRARIES.map(() => "E_CUDA_LIBRARY"),
  ]);
  const cublas = faults.find(({ message }) => message.startsWith("libcublas.so.13"));
  expect(cublas?.message).toBe(`libcublas.so.13 is missing (there is ${old}, of another version)`);
  expect(cublas?.hint).toContain("`pip install nvidia-cublas`");
  const broken = loadCudaLibraries(machine(wheels, { VIRTUAL_ENV: "/opt/venv" }), refuse);
  expect(broken.faults[1]?.message).toContain(`libcudart.so.13 cannot be loaded: ${wheels[0]}`);
});

test("the provider's own files must lie beside the core", () => {
  const core = "/ort/libonnxruntime.so.1";
  expect(missingProviderFiles(core, () => false)).toHaveLength(2);
  expect(missingProviderFiles(core, (file) => path.dirname(file) === "/ort")).toEqual([]);
});
