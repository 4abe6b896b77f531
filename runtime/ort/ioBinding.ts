// Tensors bound to a graph once and run many times: a step is then one call into ORT without any lookup or
// copy. State alternates between two sets of tensors, so a training graph usually has two bindings.
import { InternalError } from "../../compiler/diagnostics.ts";
import { checkBinding } from "./bindingRules.ts";
import type { Pointer } from "./ffi.ts";
import type { OrtSession } from "./session.ts";
import type { OrtTensor } from "./tensor.ts";

/** Tensors by the names of a graph's inputs or outputs. */
export type NamedTensors = ReadonlyMap<string, OrtTensor>;

/** An OrtIoBinding with the tensors that it refers to, which must outlive it, as must the session. */
export class OrtBinding {
  readonly session: OrtSession;
  readonly inputs: NamedTensors;
  readonly outputs: NamedTensors;
  private binding: Pointer | null;

  private constructor(session: OrtSession, binding: Pointer, inputs: NamedTensors, outputs: NamedTensors) {
    this.session = session;
    this.binding = binding;
    this.inputs = inputs;
    this.outputs = outputs;
  }

  /** Binds tensors to every input and to the outputs that are wanted. E_ORT_BINDING when they do not fit. */
  static create(session: OrtSession, inputs: NamedTensors, outputs: NamedTensors): OrtBinding {
    checkBinding(session, asTypes(inputs), asTypes(outputs));
    const { library } = session;
    const { functions } = library;
    const doing = `binding graph "${session.name}"`;
    const pointer = library.make(doing, (out) => functions.CreateIoBinding(session.pointer, out));
    const binding = new OrtBinding(session, pointer, inputs, outputs);
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
   * Runs the graph on the bound tensors, on the calling thread. E_ORT names the failing node and its origin.
   */
  run(): void {
    if (this.binding === null)
      throw new InternalError(`a binding of graph "${this.session.name}" is used after it was disposed`);
    const { library, name, pointer } = this.session;
    library.check(`running graph "${name}"`, library.functions.RunWithBinding(pointer, null, this.binding));
  }

  [Symbol.dispose](): void {
    if (this.binding !== null) this.session.library.functions.ReleaseIoBinding(this.binding);
    this.binding = null;
  }
}

function asTypes(tensors: NamedTensors) {
  return new Map(
    [...tensors].map(([name, { name: id, dtype, shape }]) => [name, { id, dtype, shape }] as const),
  );
}
