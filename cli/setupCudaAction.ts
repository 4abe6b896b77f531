// What `mttc setup-cuda` does.
import { providerFolder } from "../runtime/ort/providerFolder.ts";
import { CUDA_PROVIDER } from "../runtime/setup/providerPackages.ts";
import { type SetupFlags, setUp } from "./setupComponent.ts";
import type { Terminal } from "./terminal.ts";

/** Downloads and unpacks ONNX Runtime's CUDA provider, after asking. */
export async function setUpCuda(flags: SetupFlags, terminal: Terminal): Promise<void> {
  const setup = {
    command: "setup-cuda",
    component: CUDA_PROVIDER,
    folder: providerFolder(),
    variable: "MTTC_ORT_DIR",
    next: "Next: mttc doctor, then mttc train SPEC --ep cuda",
  };
  await setUp(setup, flags, terminal);
}
