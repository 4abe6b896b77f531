// ONNX Runtime's and CUDA's messages about devices become typed errors that say what mends them. The messages
// are those of ONNX Runtime 1.29 without a device, and of its sources where no machine here can produce them.
import { expect, test } from "vitest";
import { deviceFault } from "../../runtime/ort/deviceFaults.ts";
import { ortError } from "../../runtime/ort/ortErrors.ts";

test.each([
  [
    "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=0",
    "E_CUDA_DEVICE",
    "580",
  ],
  ["CUDA failure 100: no CUDA-capable device is detected ; GPU=32767", "E_CUDA_DEVICE", "nvidia-smi -L"],
  ["CUDA failure 101: invalid device ordinal ; GPU=7", "E_CUDA_DEVICE", "--ep cuda:n"],
  ["CUDA failure 2: out of memory ; GPU=0 ; hostname=h", "E_DEVICE_MEMORY", "accumulate"],
  [
    "BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 1048576",
    "E_DEVICE_MEMORY",
    "batch_size",
  ],
  [
    "Failed to load library /o/libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open shared " +
      "object file: No such file or directory",
    "E_CUDA_LIBRARY",
    "pip install nvidia-cublas",
  ],
  [
    "Failed to load library /o/libonnxruntime_providers_cuda.so with error: undefined symbol: Provider_GetHost",
    "E_CUDA_LIBRARY",
    "mttc setup-cuda",
  ],
  ["CUDNN failure 1001: CUDNN_STATUS_NOT_INITIALIZED ; GPU=0", "E_CUDA_LIBRARY", "nvidia-cudnn-cu13"],
  [
    "dlopen failed: libcudnn_graph.so.9: cannot open shared object file: No such file or directory",
    "E_CUDA_LIBRARY",
    "nvidia-cudnn-cu13",
  ],
  [
    "cuDNN is unavailable for CUDA Execution Provider: dlsym failed for cudnnCreate: /l/libcudnn.so.9: undefined symbol",
    "E_CUDA_LIBRARY",
    "nvidia-cudnn-cu13",
  ],
  [
    'Failed to parse provider option "device_id": cuda_execution_provider_info.cc:70 operator() Invalid device ID: 3, ' +
      "must be between 0 (inclusive) and 1 (exclusive).",
    "E_CUDA_DEVICE",
    "nvidia-smi -L",
  ],
] as const)("%s", (message, code, hint) => {
  const fault = deviceFault('loading graph "train"', message);
  expect(fault?.code).toBe(code);
  expect(fault?.message).toContain(message);
  expect(fault?.hint).toContain(hint);
});

test("a message of another kind stays what it was, and a node keeps its origin", () => {
  expect(deviceFault("running", "Non-zero status code returned while running Add node. Name:'x/Add'")).toBe(
    undefined,
  );
  const error = ortError(
    'running graph "train"',
    "Non-zero status code returned while running Conv node. Name:'fcn.layers[0]/Conv' Status Message: CUDA failure 2: " +
      "out of memory",
  );
  expect(error.code).toBe("E_DEVICE_MEMORY");
  expect(error.faults[0]?.at).toEqual({ node: "fcn.layers[0]/Conv", origin: "fcn.layers[0]" });
});
