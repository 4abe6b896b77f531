// The packages that hold ONNX Runtime's CUDA provider for Linux on x64, in the order in which they are tried.
import { locateOrtLibrary } from "../ort/library.ts";
import { ORT_VERSION } from "../ort/providerFolder.ts";
import { type Component, type PinnedPackage, wheelDownload } from "./pinnedPackage.ts";

/** Name of ONNX Runtime's core library, as it is looked for. */
const CORE_NAME = "libonnxruntime.so.1";

const MICROSOFT: PinnedPackage = {
  title: `onnxruntime-gpu ${ORT_VERSION} of PyPI (Microsoft's own), CUDA 13`,
  command: wheelDownload(`onnxruntime-gpu==${ORT_VERSION}`, "manylinux_2_28_x86_64"),
  format: ".whl",
  archiveSha256: "de3caf93887ba4ad51c7d3cab04c7b464f9dd93c51047be5bfb413fd4a191e6a",
  downloadBytes: 202_176_559,
  files: [
    {
      path: `onnxruntime/capi/libonnxruntime.so.${ORT_VERSION}`,
      name: CORE_NAME,
      sha256: "99458e9d185dfa1a9b5f6510790ede3bedc25dea378adb904ce292b517eeaecf",
    },
    {
      path: "onnxruntime/capi/libonnxruntime_providers_shared.so",
      name: "libonnxruntime_providers_shared.so",
      sha256: "086ec1d5388f64153d9c63470d126693db9a182c8ce236d3a1119068471b8a0d",
    },
    {
      path: "onnxruntime/capi/libonnxruntime_providers_cuda.so",
      name: "libonnxruntime_providers_cuda.so",
      sha256: "5feb727767b15d369ccd33a89b6509fbb41f0ff19353e8f61e3d545ec6b3025b",
    },
  ],
};

const NPM_NAME = "com.github.asus4.onnxruntime.linux-x64-gpu";

const UNITY: PinnedPackage = {
  title: `${NPM_NAME} 0.4.9 of npm (ONNX Runtime ${ORT_VERSION}, CUDA 13)`,
  command: ["npm", "pack", "--silent", `${NPM_NAME}@0.4.9`],
  format: ".tgz",
  archiveSha256: "2b459e0c17f340c92970c10ed86de4f37a3009f93c14053e6ad4334cbb6be412",
  downloadBytes: 179_145_956,
  files: [
    {
      path: "package/Plugins/Linux/x64/libonnxruntime_providers_shared.so",
      name: "libonnxruntime_providers_shared.so",
      sha256: "c6a12593396095f5670160e284c35d1700b7708cf3037b7042e2a5200ccae772",
    },
    {
      path: "package/Plugins/Linux/x64/libonnxruntime_providers_cuda.so",
      name: "libonnxruntime_providers_cuda.so",
      sha256: "56cf3254b118ad837ccc4ed8f6d1b23504bbf7ef91b34cbc0b289cb7f10b3037",
    },
  ],
  // It has no core: that of onnxruntime-node is meant, without a library of the user's choice.
  beside: {
    [CORE_NAME]: () => locateOrtLibrary(undefined, { platform: process.platform, arch: process.arch }),
  },
};

/** What `mttc setup-cuda` brings. */
export const CUDA_PROVIDER: Component = {
  what: "CUDA provider",
  code: "E_CUDA_SETUP",
  packages: { "linux-x64": [MICROSOFT, UNITY] },
  ownNames: /^(lib)?onnxruntime.*\.(so(\.[\d.]+)?|dll|dylib)$/,
  unfetched:
    "on another machine, `pip download onnxruntime-gpu`, unpack it and set MTTC_ORT_DIR to its folder",
  elsewhere: "training runs on the CPU there: leave out --ep",
};
