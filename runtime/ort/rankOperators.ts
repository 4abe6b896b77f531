// The operators that ONNX Runtime asks the other processes for (domain com.mttc: compiler/ops/allGather.ts),
// as custom operators of its C API: a struct of function pointers, each a JavaScript function that runs on
// the thread that is in RunWithBinding. Layout and rules: OrtCustomOp in onnxruntime_c_api.h of 1.29. A
// struct and its functions must outlive every session that was opened with them.

import { MttcError } from "../../compiler/diagnostics.ts";
import { elementCount } from "../../compiler/ir/types.ts";
import {
  type CallbackRow,
  nativeCallback,
  nativeWords,
  ORT_API_VERSION,
  type Out,
  type Pointer,
  writePointer,
} from "./ffi.ts";
import type { OrtLibrary } from "./library.ts";

/** How numbers get to the other processes: what a RankEngine (runtime/ranks/) does inside a run. */
export interface RankExchange {
  /** Processes. */
  readonly size: number;
  /**
   * `count` float32 at `from`, of every process, in their order one after the other to `to`, in the host's
   * memory. Throws E_RANK_LOST where a process does not answer.
   */
  allGather(from: Pointer, to: Pointer, count: number): void;
}

const DOMAIN = "com.mttc";
/** ONNX Runtime's number of float. */
const FLOAT = 1;
/** Of OrtCustomOpInputOutputCharacteristic. */
const [REQUIRED, OPTIONAL] = [0, 1];
/** OrtMemTypeDefault: where the provider keeps tensors. */
const DEFAULT_MEMORY = 0;
/** ORT_FAIL of OrtErrorCode. */
const FAIL = 1;
/** The last version of an operator that is not replaced. */
const NEWEST = 2 ** 31 - 1;

/** The domain com.mttc, for sessions of one library; dispose of it after them. */
export class RankOperators {
  /** OrtCustomOpDomain. */
  readonly domain: Pointer;
  readonly #library: OrtLibrary;
  readonly #exchange: RankExchange;
  readonly #releases: (() => void)[] = [];
  #fault: unknown;

  constructor(library: OrtLibrary, exchange: RankExchange) {
    this.#library = library;
    this.#exchange = exchange;
    const { functions } = library;
    const doing = "declaring operators between processes";
    this.domain = library.make(doing, (out) => functions.CreateCustomOpDomain(DOMAIN, out));
    this.#releases.push(() => functions.ReleaseCustomOpDomain(this.domain));
    library.check(doing, functions.CustomOpDomain_Add(this.domain, this.#allGather()));
  }

  /** What a kernel threw in the run that has just failed, once; undefined where none did. */
  takeFault(): unknown {
    const fault = this.#fault;
    this.#fault = undefined;
    return fault;
  }

  [Symbol.dispose](): void {
    // The domain first: it refers to what the others are.
    for (const release of this.#releases.splice(0)) release();
  }

  /** The OrtCustomOp of AllGather. */
  #allGather(): Pointer {
    const name = this.#text("AllGather");
    const always = (result: "pointer" | "int" | "size", value: Pointer | number | null): Pointer =>
      this.#callback([result, "pointer"], () => value as never);
    const ofIndex = (value: (index: number) => number): Pointer =>
      this.#callback(["int", "pointer", "size"], (_op, index) => value(Number(index)));
    const createKernel = this.#callback(
      ["pointer", "pointer", "pointer", "pointer", "pointer"],
      (_op, _api, info, kernel) =>
        this.#guarded(() => {
          this.#checkSize(info);
          // Kernels have nothing of their own, but may not be null.
          if (kernel !== null) writePointer(kernel, name);
        }),
    );
    const compute = this.#callback(["pointer", "pointer", "pointer"], (_kernel, context) =>
      this.#guarded(() => this.#gather(context)),
    );
    const words: readonly (Pointer | null)[] = [
      BigInt(ORT_API_VERSION),
      null, // CreateKernel: version 2 of it is below
      always("pointer", name),
      always("pointer", null), // the provider: the CPU's
      ofIndex(() => FLOAT), // types of inputs
      always("size", 2),
      ofIndex(() => FLOAT), // types of outputs
      always("size", 1),
      null, // KernelCompute: as above
      this.#callback(["void", "pointer"], () => undefined), // KernelDestroy
      ofIndex((index) => (index === 0 ? REQUIRED : OPTIONAL)!),
      ofIndex(() => REQUIRED!),
      ofIndex(() => DEFAULT_MEMORY),
      ...[null, null, null, null], // variadic inputs and outputs
      createKernel,
      compute,
      null, // InferOutputShapeFn
      always("int", 1), // versions of the operator, from
      always("int", NEWEST), // and to
      ...[null, null, null, null], // outputs in the place of inputs
    ];
    const struct = nativeWords(words);
    this.#releases.push(struct.release);
    return struct.address;
  }

  #callback<Row extends CallbackRow>(row: Row, body: Parameters<typeof nativeCallback<Row>>[1]): Pointer {
    const { address, release } = nativeCallback(row, body);
    this.#releases.push(release);
    return address;
  }

  /** A C string that lives as long as this. */
  #text(text: string): Pointer {
    const bytes = Buffer.alloc(8 * Math.ceil((text.length + 1) / 8));
    bytes.write(text, "ascii");
    const words = Array.from({ length: bytes.length / 8 }, (_, i) => bytes.readBigUInt64LE(8 * i));
    const memory = nativeWords(words);
    this.#releases.push(memory.release);
    return memory.address;
  }

  /** Null, or the OrtStatus of what `body` threw, which takeFault gives back as it was. */
  #guarded(body: () => void): Pointer | null {
    try {
      body();
      return null;
    } catch (error) {
      this.#fault ??= error;
      const message = error instanceof Error ? error.message : String(error);
      return this.#library.functions.CreateStatus(FAIL, message);
    }
  }

  #checkSize(info: Pointer | null): void {
    const ranks = new BigInt64Array(1);
    const { functions } = this.#library;
    const doing = "reading how many processes a graph is for";
    this.#library.check(doing, functions.KernelInfoGetAttribute_int64(info, "ranks", ranks));
    if (Number(ranks[0]) === this.#exchange.size) return;
    throw new MttcError({
      code: "E_RANKS",
      message: `the graph is for ${ranks[0]} processes, ${this.#exchange.size} have come together`,
      hint: "it is compiled anew for the number that there is: mttc train SPEC --resume",
    });
  }

  #gather(context: Pointer | null): void {
    const { functions } = this.#library;
    const make = (call: (out: Out<Pointer | null>) => Pointer | null): Pointer =>
      this.#library.make("exchanging numbers with other processes", call);
    const x = make((out) => functions.KernelContext_GetInput(context, 0, out));
    const shape = this.#shapeOf(x);
    const whole = BigInt64Array.of(BigInt(this.#exchange.size), ...shape);
    const y = make((out) => functions.KernelContext_GetOutput(context, 0, whole, whole.length, out));
    const [from, to] = [x, y].map((value) => make((out) => functions.GetTensorMutableData(value, out))) as [
      Pointer,
      Pointer,
    ];
    this.#exchange.allGather(from, to, elementCount([...shape].map(Number)));
  }

  #shapeOf(value: Pointer): BigInt64Array {
    const { functions } = this.#library;
    const doing = "reading a shape";
    const info = this.#library.make(doing, (out) => functions.GetTensorTypeAndShape(value, out));
    try {
      const rank = this.#library.count(doing, (out) => functions.GetDimensionsCount(info, out));
      const shape = new BigInt64Array(rank);
      this.#library.check(doing, functions.GetDimensions(info, shape, rank));
      return shape;
    } finally {
      functions.ReleaseTensorTypeAndShapeInfo(info);
    }
  }
}
