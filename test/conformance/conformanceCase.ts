// Cases of ONNX's backend suite as generate.py writes them: a model, what goes in, what must come out.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeModelProto } from "../../compiler/codec/protobuf.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { toArray } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { readTensorData } from "../../compiler/read/onnx/tensorValues.ts";

export interface ConformanceCase {
  /** "node/test_abs". */
  readonly id: string;
  readonly model: Uint8Array;
  /** In the model's order; undefined: no tensor, or one of a type that mttc does not read. */
  readonly inputs: readonly (readonly [string, NDArray] | undefined)[];
  readonly outputs: readonly (readonly [string, NDArray] | undefined)[];
  /** A number may differ by atol + rtol * |expected|. */
  readonly rtol: number;
  readonly atol: number;
}

interface Listed {
  readonly inputs: readonly (string | null)[];
  readonly outputs: readonly (string | null)[];
  readonly rtol: number;
  readonly atol: number;
}

/** Ids of all cases under `folder`, sorted within each kind. */
export function listCases(folder: string): string[] {
  return readdirSync(folder)
    .sort()
    .flatMap((kind) =>
      readdirSync(join(folder, kind))
        .sort()
        .map((name) => `${kind}/${name}`),
    );
}

export function readCase(folder: string, id: string): ConformanceCase {
  const read = (name: string): Buffer => readFileSync(join(folder, id, name));
  const listed = JSON.parse(read("case.json").toString()) as Listed;
  const tensors = new Map<string, NDArray>();
  for (const tensor of decodeModelProto(read("data.onnx")).graph.initializer)
    try {
      tensors.set(tensor.name, toArray(readTensorData(tensor, undefined)));
    } catch (error) {
      // Of a type that mttc does not read: the import of the model has to say so.
      if (!(error instanceof MttcError)) throw error;
    }
  const side = (name: "inputs" | "outputs") =>
    listed[name].map((each) => {
      const tensor = tensors.get(`${name}/${each}`);
      return each !== null && tensor ? ([each, tensor] as const) : undefined;
    });
  const { rtol, atol } = listed;
  return { id, model: read("model.onnx"), inputs: side("inputs"), outputs: side("outputs"), rtol, atol };
}
