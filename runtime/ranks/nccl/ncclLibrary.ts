// NCCL's library and CUDA's runtime, opened, and their error codes as typed errors.
import { MttcError } from "../../../compiler/diagnostics.ts";
import { type Out, openLastingLibrary } from "../../ort/ffi.ts";
import {
  NCCL_FUNCTIONS,
  type NcclFunctions,
  STREAM_FUNCTIONS,
  type StreamFunctions,
} from "./ncclFunctions.ts";

export class NcclLibrary {
  readonly file: string;
  /** "2.31.2". */
  readonly version: string;
  readonly nccl: NcclFunctions;
  readonly streams: StreamFunctions;

  private constructor(file: string, nccl: NcclFunctions, streams: StreamFunctions) {
    this.file = file;
    this.nccl = nccl;
    this.streams = streams;
    const code: Out<number> = [0];
    this.check("asking NCCL's version", nccl.ncclGetVersion(code));
    this.version = ncclVersionText(Number(code[0]));
  }

  /**
   * Opens the first library that is there, and CUDA's runtime by the name that the provider has loaded it
   * under. E_CUDA_LIBRARY where that fails.
   */
  static open(
    places: readonly { readonly path: string; readonly from: string }[],
    runtime: string,
  ): NcclLibrary {
    const reasons: string[] = [];
    for (const { path } of places)
      try {
        const nccl = openLastingLibrary(path).bind(NCCL_FUNCTIONS);
        return new NcclLibrary(path, nccl, openLastingLibrary(runtime).bind(STREAM_FUNCTIONS));
      } catch (cause) {
        if (cause instanceof MttcError) throw cause;
        reasons.push(`${path}: ${cause instanceof Error ? cause.message : String(cause)}`);
      }
    throw new MttcError({
      code: "E_CUDA_LIBRARY",
      message: `NCCL cannot be used here (${reasons.join("; ")})`,
      hint: "`mttc setup-mpi --nccl` brings it; MTTC_NCCL_DIR names the folder of another; or strategy: mpi",
    });
  }

  /** Throws E_NCCL for a code that is not success. */
  check(doing: string, code: number): void {
    if (code === 0) return;
    const message = `${doing}: NCCL error ${code}: ${this.nccl.ncclGetErrorString(code)}`;
    throw new MttcError({ code: "E_NCCL", message, hint: "NCCL_DEBUG=INFO has NCCL say more" });
  }

  /** Throws E_CUDA_DEVICE likewise for a code of CUDA. */
  checkCuda(device: number, code: number): void {
    if (code === 0) return;
    const message = `CUDA device ${device}: CUDA error ${code}: ${this.streams.cudaGetErrorString(code)}`;
    throw new MttcError({ code: "E_CUDA_DEVICE", message });
  }
}

/** 23102 is 2.31.2, as nccl.h composes it: major * 10000 + minor * 100 + patch. */
export function ncclVersionText(code: number): string {
  return `${Math.floor(code / 10_000)}.${Math.floor(code / 100) % 100}.${code % 100}`;
}
