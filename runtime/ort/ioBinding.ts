// Tensors bound to a graph once and run many times: a step is then one call into ORT without any lookup or
// copy. State alternates between two sets of tensors, so a training graph usually has two bindings.
import { InternalError } from "../../compiler/diagnostics.ts";
import { checkBinding, checkCapture } from "./bindingRules.ts";
import type { Pointer } from "./ffi.ts";
import { RunSettings } from "./runSettings.ts";
import type { OrtSession } from "./session.ts";
import type { OrtTensor } from "./tensor.ts";

/** Tensors by the names of a graph's inputs or outputs. */
export type NamedTensors = ReadonlyMap<string, OrtTensor>;

/**
 * An OrtIoBinding with the tensors that it refers to, which must outlive it, as must the session. ORT binds a
 * tensor that lies elsewhere than its readers by copying it there and then: an input on the device that nodes
 * on the CPU read is bound anew for every run, and the reverse is refused.
 */
export class OrtBinding {
  readonly session: OrtSession;
  readonly inputs: NamedTensors;
  readonly outputs: NamedTensors;
  #binding: Pointer | null;
  readonly #settings: RunSettings;
  /** Inputs that each run needs a fresh copy of. */
  readonly #copied: NamedTensors;

  private constructor(
    session: OrtSession,
    binding: Pointer,
    { inputs, outputs, settings }: Pick<OrtBinding, "inputs" | "outputs"> & { settings: RunSettings },
  ) {
    this.#settings = settings;
    this.session = session;
    this.#binding = binding;
    this.inputs = inputs;
    this.outputs = outputs;
    this.#copied = new Map(
      [...inputs].filter(([name, { place }]) => place !== (session.inputPlaces.get(name) ?? "host")),
    );
  }

  /**
   * Binds tensors to every input and to the outputs that are wanted; with `captures` the first runs are
   * captured as a graph of the device, which the later ones replay. E_ORT_BINDING when they do not fit, or
   * when what is to be captured would read or write the host's memory.
   */
  static create(
    session: OrtSession,
    inputs: NamedTensors,
    outputs: NamedTensors,
    captures = false,
  ): OrtBinding {
    checkBinding(session, asTypes(inputs), asTypes(outputs));
    if (captures) checkCapture(session, asTypes(inputs), asTypes(outputs));
    const { library } = session;
    const { functions } = library;
    const doing = `binding graph "${session.name}"`;
    const pointer = library.make(doing, (out) => functions.CreateIoBinding(session.pointer, out));
    const binding = new OrtBinding(session, pointer, {
      ...{ inputs, outputs },
      settings: new RunSettings(session, captures),
    });
    try {
      for (const [name, tensor] of inputs)
        library.check(doing, functions.BindInput(pointer, name, tensor.value));
      for (const [name, tensor] of outputs)
        library.check(doing, functions.BindOutput(pointer, name, tensor.value));
    } catch (error) {
      binding[Symbol.dispose]();
      throw error;
    }
    return binding;
  }

  /**
   * Runs the graph on the bound tensors, on the calling thread; on CUDA the device has been told to when this
   * returns, and has done it when its copies are settled. E_ORT names the failing node and its origin.
   */
  run(): void {
    if (this.#binding === null)
      throw new InternalError(`a binding of graph "${this.session.name}" is used after it was disposed`);
    const { library, name, pointer } = this.session;
    for (const [input, tensor] of this.#copied)
      library.check(
        `binding graph "${name}"`,
        library.functions.BindInput(this.#binding, input, tensor.value),
      );
    this.session.checkRun(library.functions.RunWithBinding(pointer, this.#settings.next(), this.#binding));
  }

  /** Whether the binding reads or writes a tensor. */
  refersTo(tensor: OrtTensor): boolean {
    return [...this.inputs.values(), ...this.outputs.values()].includes(tensor);
  }

  [Symbol.dispose](): void {
    const { functions } = this.session.library;
    if (this.#binding !== null) functions.ReleaseIoBinding(this.#binding);
    this.#settings[Symbol.dispose]();
    this.#binding = null;
  }
}

function asTypes(tensors: NamedTensors) {
  return new Map(
    [...tensors].map(
      ([name, { name: id, dtype, shape, place }]) => [name, { id, dtype, shape, place }] as const,
    ),
  );
}
