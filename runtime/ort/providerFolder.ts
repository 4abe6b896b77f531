// Where `mttc setup-cuda` puts ONNX Runtime with its CUDA provider, and where the runtime looks for it: a
// folder of the user's cache, named by version, so that no environment needs editing.
import { homedir } from "node:os";
import { join } from "node:path";

/** The version of ONNX Runtime that the project is tested with; core and provider must both have it. */
export const ORT_VERSION = "1.29.0";

/** Folder of the core and the CUDA provider, whether or not it exists; XDG_CACHE_HOME moves it. */
export function providerFolder(environment: NodeJS.ProcessEnv = process.env): string {
  const cache = environment.XDG_CACHE_HOME || join(homedir(), ".cache");
  return join(cache, "mttc", `onnxruntime-${ORT_VERSION}-cuda13`);
}
