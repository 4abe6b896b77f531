// What goes wrong with a CUDA device, read out of ORT's messages: no device, an old driver, a missing
// library, no memory left; each with what is missing and what mends it.
import type { Fault } from "../../compiler/diagnostics.ts";
import { CUDA_LIBRARIES } from "./cudaLibraries.ts";

/** The loader's words about one of NVIDIA's libraries. */
const MISSING_LIBRARY =
  /(lib(?:cu(?:dart|blas|blasLt|rand|dnn\w*|da|fft)|nvrtc)\.so[.\d]*)[^\n]*(?:cannot open|not found)/;

const OUT_OF_MEMORY = 2;
const DRIVER_TOO_OLD = 35;
const NO_DEVICE = 100;
const NO_SUCH_DEVICE = 101;
const NO_KERNEL_IMAGE = 209;

/** The fault behind a message of ORT's or CUDA's; undefined when it is of another kind. */
export function deviceFault(doing: string, message: string): Fault | undefined {
  const says = `${doing}: ${message.trim()}`;
  const library = MISSING_LIBRARY.exec(message)?.[1];
  if (library !== undefined) return missingLibrary(library, says);
  const code = Number(/CUDA (?:failure|error) (\d+)/i.exec(message)?.[1] ?? Number.NaN);
  if (code === OUT_OF_MEMORY || isOutOfDeviceMemory(message)) return outOfMemory(says);
  if (/Failed to load library .*providers_/.test(message)) return missingProvider(says);
  if (message.includes("cuDNN is unavailable")) return missingLibrary("libcudnn.so.9", says);
  if (/"device_id".*Invalid device ID/s.test(message)) return byCode(NO_SUCH_DEVICE, says);
  if (/CUDNN_STATUS_(?:NOT_INITIALIZED|VERSION_MISMATCH|SUBLIBRARY\w*)/.test(message))
    return missingLibrary("libcudnn.so.9", says);
  return Number.isNaN(code) ? undefined : byCode(code, says);
}

function isOutOfDeviceMemory(message: string): boolean {
  return /BFCArena|CUDA_ERROR_OUT_OF_MEMORY|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED/.test(
    message,
  );
}

function outOfMemory(message: string): Fault {
  return {
    code: "E_DEVICE_MEMORY",
    message,
    hint:
      "make batch_size smaller, or split the batch by `accumulate`, which computes the same; " +
      "`nvidia-smi` shows what else takes the device's memory",
  };
}

function missingLibrary(file: string, message: string): Fault {
  // cuDNN is split into several: libcudnn_graph.so.9 comes with libcudnn.so.9.
  const stem = file.replace(/(_\w+)?\.so[.\d]*$/, ".so");
  const wheel = CUDA_LIBRARIES.find((library) => library.file.startsWith(stem))?.wheel;
  const where = stem === "libcuda.so" ? "install NVIDIA's driver" : "install CUDA 13";
  const command = wheel === undefined ? where : `\`pip install ${wheel}\``;
  return {
    code: "E_CUDA_LIBRARY",
    message: `${file} is missing: ${message}`,
    hint: `${command}; \`mttc doctor\` lists what is found where`,
  };
}

function missingProvider(message: string): Fault {
  return {
    code: "E_CUDA_LIBRARY",
    message,
    hint: "`mttc setup-cuda` brings the provider that fits; `mttc doctor` lists what is missing",
  };
}

function byCode(code: number, message: string): Fault {
  const hints: Readonly<Record<number, string>> = {
    [DRIVER_TOO_OLD]:
      "CUDA 13 needs NVIDIA's driver 580 or later (`nvidia-smi` shows yours): update it, or use --ep cpu",
    [NO_DEVICE]:
      "no CUDA device is visible (`nvidia-smi -L` lists them; CUDA_VISIBLE_DEVICES hides them): use --ep cpu",
    [NO_SUCH_DEVICE]: "`nvidia-smi -L` lists the devices: --ep cuda:n takes their numbers, from 0",
    [NO_KERNEL_IMAGE]: "the provider has code for devices of compute capability 7.5 and later: use --ep cpu",
  };
  return {
    code: "E_CUDA_DEVICE",
    message,
    hint: hints[code] ?? "`mttc doctor` examines driver, device and libraries; --ep cpu runs without them",
  };
}
