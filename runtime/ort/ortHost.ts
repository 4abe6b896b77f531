// ONNX Runtime for the main thread: every call goes to one worker thread that owns all native things, so that
// the event loop and the loader go on while a graph runs. Calls are carried out in the order in which they
// are made.
import { MttcError } from "../../compiler/diagnostics.ts";
import { raiseFlag } from "../ranks/abortFlag.ts";
import { endHard } from "../ranks/hardEnd.ts";
import { patientTimer } from "../ranks/patientTimer.ts";
import type { JoinedPlace, JoinOptions } from "../ranks/rankEngine.ts";
import { builtFile } from "../threads/builtFile.ts";
import { transferableBuffers } from "../threads/callProtocol.ts";
import { WorkerCalls } from "../threads/workerCalls.ts";
import type { HostTensor } from "./hostTensor.ts";
import type {
  BindingSpec,
  BufferSpec,
  GraphTensors,
  OrtOptions,
  OrtService,
  StartedOrt,
  StepIo,
  StepResult,
  Writes,
} from "./ortProtocol.ts";
import type { Placement } from "./placement.ts";
import type { Provider } from "./provider.ts";
import type { ModelSource, SessionOptions } from "./session.ts";

export type { EngineRequest, JoinedPlace, JoinOptions, RankPlace } from "../ranks/rankEngine.ts";
export type { HostTensor } from "./hostTensor.ts";
export type * from "./ortProtocol.ts";
export type { Placement } from "./placement.ts";
export type { Provider } from "./provider.ts";
export type { ProviderRequest } from "./providerName.ts";
export type { ModelSource, SessionOptions } from "./session.ts";
export type { TensorInfo } from "./tensorInfo.ts";

/** How long joinRanks waits: processes of one start come apart by as much as the slowest machine is slow. */
const JOIN_MS = 120_000;
/** How long leaveRanks waits: all ranks are done, and take leave at once. */
const LEAVE_MS = 15_000;
/** Of ranks that do not come. */
const WAIT_HINT = "start all of them by one launcher; MTTC_RANKS_WAIT gives them more seconds";
/** For a collective call to see that it is ended. */
const ABORT_MS = 1000;

/** How long other ranks are waited for, and the flag that ends what waits for them. */
export type WaitLimit = Pick<JoinOptions, "abort" | "timeoutMs">;

const THREAD = { name: "the ONNX Runtime thread", death: { code: "E_ORT" } } as const;

/**
 * The client of the ONNX Runtime thread. Graphs, tensors and bindings are known by names that the caller
 * chooses; an unknown or taken name, and tensors that do not fit a graph, are E_ORT_BINDING. ORT's own
 * refusals are E_ORT with graph, node and origin. If the thread dies, every open and later call rejects with
 * E_ORT.
 */
export class OrtHost {
  /** ONNX Runtime's version. */
  readonly version: string;
  /** Its file. */
  readonly libraryPath: string;
  /** Where graphs run. */
  readonly provider: Provider;
  /** Why `auto` came to the CPU, where that needs saying: a line for the user. */
  readonly note: string | undefined;
  readonly #calls: WorkerCalls<OrtService>;

  private constructor(calls: WorkerCalls<OrtService>, { version, libraryPath, provider, note }: StartedOrt) {
    this.#calls = calls;
    this.version = version;
    this.libraryPath = libraryPath;
    this.provider = provider;
    this.note = note;
  }

  /**
   * Starts the thread, loads ONNX Runtime and opens the provider's device. E_ORT_LOAD; E_CUDA_LIBRARY,
   * E_CUDA_DEVICE and E_DEVICE_MEMORY name what is missing, and the command that mends it.
   */
  static async start(options: OrtOptions = {}): Promise<OrtHost> {
    const calls = new WorkerCalls<OrtService>(builtFile("#ort-worker", missingThread), THREAD);
    try {
      return new OrtHost(calls, await calls.call("start", [options]));
    } catch (error) {
      await calls.close();
      if (error instanceof MttcError && error.code === "E_ORT")
        throw new MttcError(
          { code: "E_ORT_LOAD", message: error.faults[0]?.message ?? "" },
          { cause: error },
        );
      throw error;
    }
  }

  /** Loads a graph; a `path` is needed where the model has external data, which must lie beside the file. */
  openGraph(graph: string, model: ModelSource, options: SessionOptions = {}): Promise<GraphTensors> {
    return this.#calls.call("openGraph", [graph, model, options]);
  }

  /** Releases a graph and its bindings; the path of its profile if it was opened with `profilePrefix`. */
  closeGraph(graph: string): Promise<string | undefined> {
    return this.#calls.call("closeGraph", [graph]);
  }

  /** Which provider runs which node of a graph that was opened with `recordPlacement`. */
  placements(graph: string): Promise<readonly Placement[]> {
    return this.#calls.call("placements", [graph]);
  }

  /** Allocates tensors of zeros, all or none. */
  allocate(buffers: readonly BufferSpec[]): Promise<void> {
    return this.#calls.call("allocate", [buffers]);
  }

  /** Releases tensors, all or none; one that a binding refers to is refused. */
  free(ids: readonly string[]): Promise<void> {
    return this.#calls.call("free", [ids]);
  }

  /** Copies data into tensors; the caller keeps its arrays. E_SHAPE when type or size is not the tensor's. */
  write(data: Writes): Promise<void> {
    const copies = Object.fromEntries(Object.entries(data).map(([id, view]) => [id, copyOf(view)]));
    return this.#calls.call("write", [copies], transferableBuffers(copies));
  }

  /** Copies of tensors (int64 as BigInt64Array, float16 as its bits, bool as 0 and 1). */
  read(ids: readonly string[]): Promise<Map<string, HostTensor>> {
    return this.#calls.call("read", [ids]);
  }

  /** Ties tensors to every input and to the wanted outputs of a graph, under the name `binding`. */
  bind(binding: string, graph: string, io: BindingSpec): Promise<void> {
    return this.#calls.call("bind", [binding, graph, io]);
  }

  /** Releases a binding; its tensors and its graph stay. */
  unbind(binding: string): Promise<void> {
    return this.#calls.call("unbind", [binding]);
  }

  /**
   * Writes, runs, reads: one message each way. The buffers behind `writes` are transferred, so the caller's
   * arrays are empty until they come back in `returned`; a slot that is still away is an InternalError. Do
   * not write from small Buffers: they share Node's pool, which cannot be transferred.
   */
  step(binding: string, io: StepIo = {}): Promise<StepResult> {
    return this.#calls.call("step", [binding, io], transferableBuffers([io.writes, io.staged]));
  }

  /**
   * Runs a graph on tensors of any fitting shape and returns the `wanted` outputs (all by default), copies
   * all.
   */
  run(
    graph: string,
    feeds: Readonly<Record<string, HostTensor>>,
    wanted?: readonly string[],
  ): Promise<Map<string, HostTensor>> {
    return this.#calls.call("run", [graph, feeds, wanted]);
  }

  /**
   * Joins the processes that were started together, once in a process; resolves when all of them have come.
   * Where no number of threads was asked for, graphs that are opened from then on have this rank's cores.
   * E_MPI_LIBRARY where there is no usable library, E_RANKS where it and the launcher do not belong
   * together, E_MPI. E_RANK_LOST where the others have not come in `timeoutMs`: the thread, if it is inside
   * MPI for ever, is given up then, and the process, when it comes to its end, is ended hard.
   */
  async joinRanks(options: JoinOptions): Promise<JoinedPlace> {
    const limit = { ...options, timeoutMs: options.timeoutMs ?? JOIN_MS };
    return await this.#inTime(this.#calls.call("joinRanks", [options]), limit, "have not come", WAIT_HINT);
  }

  /** What `call` gives; E_RANK_LOST, "the other processes `lack`", where it takes too long. */
  async #inTime<T>(call: Promise<T>, limit: WaitLimit, lack: string, hint?: string): Promise<T> {
    const { abort, timeoutMs } = limit;
    if (timeoutMs === undefined) return await call;
    const found = await within(timeoutMs, call);
    if (found !== LATE) return found;
    if (abort) raiseFlag(abort);
    // What waits by asking again and again sees the flag; what is inside MPI does not.
    const ended = await within(
      ABORT_MS,
      call.then(
        () => undefined,
        () => undefined,
      ),
    );
    if (ended === LATE) this.#giveUp();
    const message = `the other processes ${lack} within ${timeoutMs / 1000} s`;
    throw new MttcError({ code: "E_RANK_LOST", message, ...(hint === undefined ? {} : { hint }) });
  }

  /**
   * Whether the thread answers within `ms`, after the calls made before. Else it is given up: open and later
   * calls are rejected, and the process, when it comes to its end, is ended hard.
   */
  async answers(ms: number): Promise<boolean> {
    if ((await within(ms, this.#calls.call("read", [[]]))) !== LATE) return true;
    this.#giveUp();
    return false;
  }

  /** Whether the thread has ended or was given up: it answers nothing more. */
  get isGone(): boolean {
    return this.#calls.hasEnded;
  }

  #giveUp(): void {
    this.#calls.abandon();
    process.once("exit", (code) => endHard(undefined, code));
  }

  /**
   * Sums float32 tensors over all ranks, in place: all ranks name the same tensors in the same order, and
   * have the same bits afterwards. E_ORT_BINDING for other types. This call and the next three: E_RANK_LOST
   * once another rank is lost (`abort` of JoinOptions) and for every later one, E_MPI; graphs and tensors
   * stay usable.
   */
  allReduce(ids: readonly string[]): Promise<void> {
    return this.#calls.call("allReduce", [ids]);
  }

  /** Copies rank 0's tensors, of any type, into those of the other ranks, which have the same sizes. */
  broadcastTensors(ids: readonly string[]): Promise<void> {
    return this.#calls.call("broadcastTensors", [ids]);
  }

  /** Rank 0's bytes, on all ranks; what others give is not looked at. E_RANK_LOST after `timeoutMs`, too. */
  broadcastBytes(bytes: Uint8Array, limit: WaitLimit = {}): Promise<Uint8Array> {
    return this.#inTime(this.#calls.call("broadcastBytes", [bytes]), limit, "have not answered", WAIT_HINT);
  }

  /**
   * Ends what joinRanks began, on all ranks together; does nothing where a rank is lost. E_RANK_LOST where
   * the others do not leave in `timeoutMs`; the end of the process is then as joinRanks has it.
   */
  leaveRanks(limit: WaitLimit = {}): Promise<void> {
    const all = { ...limit, timeoutMs: limit.timeoutMs ?? LEAVE_MS };
    return this.#inTime(this.#calls.call("leaveRanks", []), all, "have not taken leave");
  }

  /** Releases everything and ends the thread, after the calls made before; calling it again is harmless. */
  close(): Promise<void> {
    return this.#calls.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

const LATE = Symbol("late");

/** What `work` gives, or LATE after `ms`. */
function within<T>(ms: number, work: Promise<T>): Promise<T | typeof LATE> {
  return new Promise((resolve, reject) => {
    const stop = patientTimer(ms, () => resolve(LATE));
    work.then(resolve, reject).finally(stop);
  });
}

/** A view of the same kind on a buffer of its own: a message would copy all that lies behind it. */
function copyOf(view: ArrayBufferView): ArrayBufferView {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();
  if (view instanceof Uint8Array) return bytes;
  const Kind = view.constructor as new (buffer: ArrayBuffer) => ArrayBufferView;
  return new Kind(bytes.buffer);
}

function missingThread(cause: unknown): MttcError {
  const message = "the file of the ONNX Runtime thread is missing";
  return new MttcError({ code: "E_ORT_LOAD", message, hint: "run `npm run build`" }, { cause });
}
