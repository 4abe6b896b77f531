// Ranks over MPI: each call is begun without blocking and waited for by testing, so that a lost rank ends it.
// All calls come from the thread that joined.
import { InternalError, MttcError } from "../../../compiler/diagnostics.ts";
import { NativeMemory, type Out, type Pointer, viewMemory } from "../../ort/ffi.ts";
import type { RankEngine, RankPart, RankPlace } from "../rankEngine.ts";
import { inPieces, type Piece } from "../rankPieces.ts";
import type { RankWait } from "../rankWait.ts";
import type { MpiLibrary } from "./mpiLibrary.ts";

/**
 * What is summed at once. Two ranks on two quiet cores, MPICH 5.0.2, 100 MB in place, best and median of 8:
 * 64 and 65 ms in one piece, 58 and 60 in pieces of 0.5 MB, 50 and 52 of 1 MB, 48 and 52 of 2 MB, 44 and 48
 * of 4 MB. Blocking calls take as long (46 and 47 ms in pieces of 4 MB); Open MPI 4.1 takes 64 and 70 ms.
 */
const PIECE_BYTES = 4 * 2 ** 20;
/** Room for what is gathered at first. */
const GATHERING_BYTES = 64 * 2 ** 10;
const FLOAT_BYTES = 4;
/** The rank whose data broadcasts carry. */
const ROOT = 0;

/**
 * How long it looks for others without a pause: who comes late may come much later, but what has begun on all
 * ranks goes on while all of them look.
 */
const MEETING_MS = 1;
const MOVING_MS = 50;

const COPYING = "a copy from rank 0";

/** A member of MPI_COMM_WORLD. */
export class MpiEngine implements RankEngine {
  readonly reachesDevices = false;
  readonly place: RankPlace;
  readonly #mpi: MpiLibrary;
  readonly #wait: RankWait;
  readonly #scratch = new NativeMemory(PIECE_BYTES);
  #gathering = new NativeMemory(GATHERING_BYTES);
  readonly #request = new BigUint64Array(1);
  /** "lost" after a fault: nobody may be there to answer. */
  #state: "joined" | "lost" | "left" = "joined";
  /** Whether a call was begun and is not done: MPI holds addresses of ours. */
  #isUnderWay = false;

  private constructor(mpi: MpiLibrary, place: RankPlace, wait: RankWait) {
    this.#mpi = mpi;
    this.place = place;
    this.#wait = wait;
  }

  /**
   * Starts MPI, which waits for all processes of the same start; a process that was started alone is a world
   * of one. Once in a process. E_MPI.
   */
  static join(mpi: MpiLibrary, wait: RankWait): MpiEngine {
    const { functions, constants } = mpi;
    const doing = "starting MPI";
    if (mpi.number(doing, (out) => functions.MPI_Initialized(out)) !== 0)
      throw new InternalError("MPI was started in this process before: it can be started once only");
    const level = mpi.number(doing, (out) => functions.MPI_Init_thread(null, null, constants.funneled, out));
    if (level < constants.funneled) throw refuseLevel(mpi, level);
    // From here on faults are told; before, MPI ends the process with words of its own.
    mpi.check(doing, functions.MPI_Comm_set_errhandler(constants.world, constants.errorsReturn));
    const rank = mpi.number(doing, (out) => functions.MPI_Comm_rank(constants.world, out));
    const size = mpi.number(doing, (out) => functions.MPI_Comm_size(constants.world, out));
    const local = localPlace(mpi);
    const place = { rank, size, ...local, engine: "mpi", library: mpi.file, version: mpi.version } as const;
    return new MpiEngine(mpi, place, wait);
  }

  allReduce(parts: readonly RankPart[]): void {
    const { MPI_Iallreduce } = this.#mpi.functions;
    const { inPlace, float, sum, world } = this.#mpi.constants;
    const doing = "a sum over ranks";
    this.#meet(doing);
    inPieces(parts, this.#scratch, ({ address, sizeBytes }) =>
      this.#carryOut(doing, MOVING_MS, () =>
        MPI_Iallreduce(inPlace, address, sizeBytes / FLOAT_BYTES, float, sum, world, this.#request),
      ),
    );
  }

  get holdsMemory(): boolean {
    return this.#isUnderWay;
  }

  /** By way of memory of its own: what graphs hold is theirs to free, also when a rank is lost meanwhile. */
  allGather(from: Pointer, to: Pointer, count: number): void {
    const { MPI_Iallgather } = this.#mpi.functions;
    const { float, world } = this.#mpi.constants;
    const doing = "gathering from all ranks";
    this.#refuseEnded(doing);
    if (count === 0) return;
    const [ownBytes, allBytes] = [count * FLOAT_BYTES, count * FLOAT_BYTES * this.place.size];
    const { address, bytes } = this.#gatheringMemory(ownBytes + allBytes);
    bytes.set(new Uint8Array(viewMemory(from, ownBytes)));
    const gathered = address + BigInt(ownBytes);
    this.#carryOut(doing, MEETING_MS, () =>
      MPI_Iallgather(address, count, float, gathered, count, float, world, this.#request),
    );
    new Uint8Array(viewMemory(to, allBytes)).set(bytes.subarray(ownBytes, ownBytes + allBytes));
  }

  #gatheringMemory(sizeBytes: number): NativeMemory {
    if (this.#gathering.bytes.length < sizeBytes) {
      this.#gathering[Symbol.dispose]();
      this.#gathering = new NativeMemory(sizeBytes);
    }
    return this.#gathering;
  }

  broadcast(parts: readonly RankPart[]): void {
    this.#meet(COPYING);
    inPieces(parts, this.#scratch, (piece) => this.#broadcastPiece(piece));
  }

  broadcastBytes(bytes: Uint8Array): Uint8Array {
    this.#meet(COPYING);
    const length = new Uint32Array([bytes.length]);
    this.#broadcastCopied(new Uint8Array(length.buffer));
    const copy = this.place.rank === ROOT ? bytes.slice() : new Uint8Array(length[0] ?? 0);
    this.#broadcastCopied(copy);
    return copy;
  }

  /** Bytes of every rank, in the order of ranks, as many as each gives. */
  gatherBytes(own: Uint8Array): readonly Uint8Array[] {
    const { size } = this.place;
    const lengths = this.#gatherFloats(Float32Array.of(own.length));
    const longest = Math.ceil(Math.max(...lengths) / FLOAT_BYTES);
    const padded = new Float32Array(Math.max(1, longest));
    new Uint8Array(padded.buffer).set(own);
    const all = new Uint8Array(this.#gatherFloats(padded).buffer);
    const stride = all.length / size;
    return [...lengths].map((length, rank) => all.slice(rank * stride, rank * stride + length));
  }

  #gatherFloats(own: Float32Array): Float32Array {
    const from = new NativeMemory(own.byteLength);
    const to = new NativeMemory(own.byteLength * this.place.size);
    from.bytes.set(new Uint8Array(own.buffer));
    this.allGather(from.address, to.address, own.length);
    const all = new Float32Array(to.bytes.slice().buffer);
    // After a fault MPI may still write there: it is then nobody else's.
    for (const memory of [from, to]) memory[Symbol.dispose]();
    return all;
  }

  /** How many ranks say yes. */
  count(isYes: boolean): number {
    const words = new Float32Array([isYes ? 1 : 0]);
    const memory = new Uint8Array(words.buffer);
    this.allReduce([{ name: "count", address: 0n, sizeBytes: memory.length, memory }]);
    return words[0] ?? 0;
  }

  leave(): void {
    if (this.#state !== "joined" || this.#wait.isLost) return;
    const doing = "leaving the other ranks";
    this.#meet(doing);
    this.#state = "left";
    this.#mpi.check(doing, this.#mpi.functions.MPI_Finalize());
  }

  /** Bytes in JavaScript's memory go through the scratch memory, which does not move. */
  #broadcastCopied(bytes: Uint8Array): void {
    const { address, bytes: scratch } = this.#scratch;
    for (let start = 0; start < bytes.length; start += scratch.length) {
      const part = bytes.subarray(start, start + scratch.length);
      scratch.set(part);
      this.#broadcastPiece({ address, sizeBytes: part.length });
      part.set(scratch.subarray(0, part.length));
    }
  }

  #broadcastPiece({ address, sizeBytes }: Piece): void {
    const { MPI_Ibcast } = this.#mpi.functions;
    const { byte, world } = this.#mpi.constants;
    this.#carryOut(COPYING, MOVING_MS, () =>
      MPI_Ibcast(address, sizeBytes, byte, ROOT, world, this.#request),
    );
  }

  /** Waits until every rank has come here, so that what follows is waited for without a pause. */
  #meet(doing: string): void {
    const { MPI_Ibarrier } = this.#mpi.functions;
    this.#carryOut(doing, MEETING_MS, () => MPI_Ibarrier(this.#mpi.constants.world, this.#request));
  }

  /** Begins a call and waits until it is done; a fault ends the use of MPI. */
  #carryOut(doing: string, spinMs: number, begin: () => number): void {
    this.#refuseEnded(doing);
    const { MPI_Test } = this.#mpi.functions;
    const { noStatus } = this.#mpi.constants;
    const isDone: Out<number> = [0];
    try {
      this.#wait.refuseLost(doing);
      this.#mpi.check(doing, begin());
      this.#isUnderWay = true;
      this.#wait.until(doing, spinMs, () => {
        this.#mpi.check(doing, MPI_Test(this.#request, isDone, noStatus));
        return Number(isDone[0]) !== 0;
      });
      this.#isUnderWay = false;
    } catch (error) {
      this.#state = "lost";
      throw error;
    }
  }

  #refuseEnded(doing: string): void {
    if (this.#state === "left") throw new InternalError(`${doing}: this rank has left the others`);
    if (this.#state === "lost") throw lost(doing);
  }

  [Symbol.dispose](): void {
    // What a lost rank's neighbours still write lands in memory that nobody else has got meanwhile.
    if (this.#state !== "left") return;
    this.#scratch[Symbol.dispose]();
    this.#gathering[Symbol.dispose]();
  }
}

/** E_MPI: the calls come from a thread that is not the process's first, which an MPI may not allow. */
function refuseLevel({ functions, file, version }: MpiLibrary, level: number): MttcError {
  functions.MPI_Finalize();
  return new MttcError({
    code: "E_MPI",
    message: `${version} (${file}) grants thread level ${level}, which is below MPI_THREAD_FUNNELED`,
    hint: "it was built without threads: `mttc setup-mpi` brings one with them; MTTC_MPI_DIR names another",
  });
}

function lost(doing: string): MttcError {
  return new MttcError({ code: "E_RANK_LOST", message: `${doing}: the ranks have lost each other before` });
}

/** Place and number among the ranks that can share memory with this one. */
function localPlace(mpi: MpiLibrary): { readonly localRank: number; readonly localSize: number } {
  const { functions, constants } = mpi;
  const doing = "looking for ranks on the same machine";
  const local = new BigUint64Array(1);
  const split = functions.MPI_Comm_split_type;
  mpi.check(doing, split(constants.world, constants.sameMachine, 0, constants.noInfo, local));
  const localRank = mpi.number(doing, (out) => functions.MPI_Comm_rank(local[0] ?? 0n, out));
  const localSize = mpi.number(doing, (out) => functions.MPI_Comm_size(local[0] ?? 0n, out));
  mpi.check(doing, functions.MPI_Comm_free(local));
  return { localRank, localSize };
}
