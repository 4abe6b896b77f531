// The parameters of a run on their way into an export: whatever the export asks for must be there, and
// whatever training changed must be asked for. A run of another version may hold others than this mttc
// builds.
import type { Manifest } from "../../compiler/bundle/manifest.ts";
import { MttcError } from "../../compiler/diagnostics.ts";

/** Parameters by name; remembers which were asked for. */
export class ParameterValues extends Map<string, Float32Array> {
  readonly #asked = new Set<string>();
  readonly #manifest: Manifest;

  constructor(values: ReadonlyMap<string, Float32Array>, manifest: Manifest) {
    super(values);
    this.#manifest = manifest;
  }

  /** The value; E_CKPT_MISMATCH where the run has none. */
  override get(name: string): Float32Array {
    this.#asked.add(name);
    return super.get(name) ?? refuse(`the model has a parameter that the run lacks: ${name}`);
  }

  /** E_CKPT_MISMATCH for what training changed and no export asked for. */
  refuseUnused(): void {
    const unused = this.#manifest.parameters.filter(
      ({ name, trained, role }) => trained && role !== "log_variance" && !this.#asked.has(name),
    );
    const [first] = unused;
    if (first)
      refuse(`${unused.length} trained parameters of the run are no parameters of the model: ${first.name}`);
  }
}

function refuse(message: string): never {
  const hint = "the run was trained by an mttc that took others for parameters: export it with that version";
  throw new MttcError({ code: "E_CKPT_MISMATCH", message, hint });
}
