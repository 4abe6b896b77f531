// What `mttc import` does: Keras file -> graph -> ONNX file.
import { basename, resolve } from "node:path";
import { encodeGraph, PRODUCER } from "../compiler/codec/encodeGraph.ts";
import { MttcError } from "../compiler/diagnostics.ts";
import { typeText } from "../compiler/ir/types.ts";
import { OPS } from "../compiler/ops/table.ts";
import { visibleText } from "../compiler/visibleText.ts";
import { writeFileAtomically } from "../runtime/files/atomicDirectory.ts";
import { type FileMark, refuseForeignFile } from "../runtime/files/ownOutput.ts";
import { importKerasFile, isKerasPath } from "../runtime/models/kerasFile.ts";
import { shownPath } from "./pathText.ts";
import { bytes, count, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** Options of the command. */
export interface ImportFlags {
  readonly output: string;
  readonly imshape?: readonly number[];
  readonly json?: boolean;
  readonly overwrite?: boolean;
}

/** ONNX files of ours say who made them before all that is large (ModelProto.producer_name, field 2). */
const ONNX_MARK: FileMark = {
  what: "an ONNX file",
  isOurs: (head) => Buffer.from(head).includes(Buffer.from(`\x12\x04${PRODUCER}`, "latin1")),
};

/** Converts the Keras model in the file `model`. */
export async function importModel(model: string, flags: ImportFlags, terminal: Terminal): Promise<void> {
  if (!isKerasPath(model))
    throw new MttcError({
      code: "E_USAGE",
      message: "is not named like a Keras model (.h5, .hdf5, .keras)",
      at: { file: model },
      hint: "ONNX files need no import: name them in the spec",
    });
  const [height, width, ...more] = flags.imshape ?? [];
  if (flags.imshape && (height === undefined || width === undefined || more.length > 0))
    throw new MttcError({ code: "E_USAGE", message: "--imshape takes two numbers: height, width" });
  const imshape = height === undefined || width === undefined ? undefined : ([height, width] as const);
  const file = resolve(flags.output);
  await refuseForeignFile(file, ONNX_MARK, flags.overwrite);
  const { graph, imageInput, notes } = await importKerasFile(model, { ops: OPS, imshape });
  const encoded = encodeGraph(graph, { metadata: { source: basename(model) } });
  await writeFileAtomically(file, encoded);
  const ports = [
    ...graph.inputs.map(({ name, type }) => ["input", name, typeText(type)]),
    ...graph.outputs.map(({ name, value }) => ["output", name, typeText(value.type)]),
  ];
  const weights = [...graph.constants.values()].reduce((sum, { data }) => sum + data.length, 0);
  if (flags.json) {
    const facts = {
      file,
      bytes: encoded.length,
      nodes: graph.nodes.length,
      numbers: weights,
      imageInput,
      notes,
    };
    terminal.out(JSON.stringify({ ...facts, ports }, null, 2));
    return;
  }
  terminal.out(renderTable(terminal, ["", "name", "type"], ports));
  for (const note of notes) terminal.note(`${terminal.noteColours.yellow("note:")} ${visibleText(note)}`);
  terminal.out(
    `${count(graph.nodes.length)} nodes, ${count(weights)} numbers, ${bytes(encoded.length)}; ` +
      `written to ${shownPath(file)}`,
  );
}
