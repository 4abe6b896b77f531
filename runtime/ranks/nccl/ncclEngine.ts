// Ranks over NCCL, one CUDA device each: sums and copies of what lies on devices. MPI brings the ranks
// together, and stays for what lies in the host's memory. Tested against a stand-in library only, never on a
// device.
import { MttcError } from "../../../compiler/diagnostics.ts";
import type { Out, Pointer } from "../../ort/ffi.ts";
import type { MpiEngine } from "../mpi/mpiEngine.ts";
import type { RankEngine, RankPart, RankPlace } from "../rankEngine.ts";
import type { RankWait } from "../rankWait.ts";
import { FLOAT32, ID_BYTES, NON_BLOCKING, NOT_READY, SUM, UINT8 } from "./ncclFunctions.ts";
import type { NcclLibrary } from "./ncclLibrary.ts";

const FLOAT_BYTES = 4;
const ROOT = 0;
/** How long it asks a stream without a pause. */
const SPIN_MS = 5;

export class NcclEngine implements RankEngine {
  readonly reachesDevices = true;
  readonly place: RankPlace;
  readonly #mpi: MpiEngine;
  readonly #library: NcclLibrary;
  readonly #device: number;
  readonly #wait: RankWait;
  readonly #stream: Pointer;
  #communicator: Pointer | null;

  private constructor(
    mpi: MpiEngine,
    library: NcclLibrary,
    held: { device: number; wait: RankWait; stream: Pointer; communicator: Pointer },
  ) {
    this.#mpi = mpi;
    this.#library = library;
    this.#device = held.device;
    this.#wait = held.wait;
    this.#stream = held.stream;
    this.#communicator = held.communicator;
    this.place = { ...mpi.place, engine: "nccl", version: `NCCL ${library.version}, ${mpi.place.version}` };
  }

  /** Joins all ranks of `mpi`, each with its own device; all of them call this. E_NCCL, E_CUDA_DEVICE. */
  static join(mpi: MpiEngine, library: NcclLibrary, device: number, wait: RankWait): NcclEngine {
    const { nccl, streams } = library;
    const { rank, size } = mpi.place;
    const id = new Uint8Array(ID_BYTES);
    if (rank === ROOT) library.check("starting NCCL", nccl.ncclGetUniqueId(id));
    const bytes = mpi.broadcastBytes(id);
    library.checkCuda(device, streams.cudaSetDevice(device));
    const stream = pointerOf((out) =>
      library.checkCuda(device, streams.cudaStreamCreateWithFlags(out, NON_BLOCKING)),
    );
    try {
      const communicator = pointerOf((out) =>
        library.check("joining over NCCL", nccl.ncclCommInitRank(out, size, { bytes }, rank)),
      );
      return new NcclEngine(mpi, library, { device, wait, stream, communicator });
    } catch (error) {
      streams.cudaStreamDestroy(stream);
      throw error;
    }
  }

  /** NCCL itself holds nothing of an aborted communicator. */
  get holdsMemory(): boolean {
    return this.#mpi.holdsMemory;
  }

  allReduce(parts: readonly RankPart[]): void {
    const { ncclAllReduce } = this.#library.nccl;
    this.#onDevice("a sum over ranks", parts, ({ address, sizeBytes }, communicator) =>
      ncclAllReduce(address, address, sizeBytes / FLOAT_BYTES, FLOAT32, SUM, communicator, this.#stream),
    );
    this.#mpi.allReduce(onHost(parts));
  }

  /** Host memory: what asks for it runs on the CPU. */
  allGather(from: Pointer, to: Pointer, count: number): void {
    this.#mpi.allGather(from, to, count);
  }

  broadcast(parts: readonly RankPart[]): void {
    const { ncclBroadcast } = this.#library.nccl;
    this.#onDevice("a copy from rank 0", parts, ({ address, sizeBytes }, communicator) =>
      ncclBroadcast(address, address, sizeBytes, UINT8, ROOT, communicator, this.#stream),
    );
    this.#mpi.broadcast(onHost(parts));
  }

  broadcastBytes(bytes: Uint8Array): Uint8Array {
    return this.#mpi.broadcastBytes(bytes);
  }

  leave(): void {
    this.#mpi.leave();
  }

  /** One group of calls for all parts on the device, after everything that it was told before. */
  #onDevice(
    doing: string,
    parts: readonly RankPart[],
    begin: (part: RankPart, communicator: Pointer) => number,
  ): void {
    const own = parts.filter(({ memory, sizeBytes }) => memory === null && sizeBytes > 0);
    if (own.length === 0) return;
    const library = this.#library;
    const { nccl, streams } = library;
    const communicator = this.#joined(doing);
    try {
      this.#wait.refuseLost(doing);
      library.checkCuda(this.#device, streams.cudaSetDevice(this.#device));
      library.checkCuda(this.#device, streams.cudaDeviceSynchronize());
      library.check(doing, nccl.ncclGroupStart());
      const codes = own.map((part) => begin(part, communicator));
      // A group that was begun is ended, whatever its calls said.
      codes.push(nccl.ncclGroupEnd());
      for (const code of codes) library.check(doing, code);
      this.#wait.until(doing, SPIN_MS, () => this.#isStreamDone());
    } catch (error) {
      // What the device still waits for would wait for ever, and with it every later use of the device.
      this.#communicator = null;
      nccl.ncclCommAbort(communicator);
      throw error;
    }
  }

  #isStreamDone(): boolean {
    const code = this.#library.streams.cudaStreamQuery(this.#stream);
    if (code === NOT_READY) return false;
    this.#library.checkCuda(this.#device, code);
    return true;
  }

  #joined(doing: string): Pointer {
    if (this.#communicator !== null) return this.#communicator;
    throw new MttcError({ code: "E_RANK_LOST", message: `${doing}: the ranks have lost each other before` });
  }

  [Symbol.dispose](): void {
    if (this.#communicator !== null) this.#library.nccl.ncclCommDestroy(this.#communicator);
    this.#communicator = null;
    this.#library.streams.cudaStreamDestroy(this.#stream);
    this.#mpi[Symbol.dispose]();
  }
}

function onHost(parts: readonly RankPart[]): readonly RankPart[] {
  return parts.filter(({ memory }) => memory !== null);
}

/** The pointer that a call, which throws what goes wrong, writes through its out-argument. */
function pointerOf(call: (out: Out<Pointer | null>) => void): Pointer {
  const out: Out<Pointer | null> = [null];
  call(out);
  if (out[0] === null) throw new MttcError({ code: "E_NCCL", message: "NCCL or CUDA gives a null pointer" });
  return out[0];
}
