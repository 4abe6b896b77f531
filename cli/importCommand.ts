// `mttc import MODEL -o FILE.onnx`: a Keras model as an ONNX file. Images float32 [N,C,H,W] go in, the model's
// outputs come out.
import type { Command } from "commander";
import type { ImportFlags } from "./importAction.ts";
import { parsePositive, withOverwriteOption } from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

export function addImportCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("import")
    .description("convert a Keras model (.h5, .keras) to ONNX; specs can also name it directly")
    .argument("<model>", "Keras model file")
    .requiredOption("-o, --output <file>", "ONNX file to write; an older one by mttc is replaced")
    .option("--imshape <pixels...>", "height and width, where the model leaves them open", collectPixels)
    .option("--json", "print the result as JSON");
  withOverwriteOption(command).action(async (model: string, flags: ImportFlags) => {
    const { importModel } = await import("./importAction.ts");
    await importModel(model, flags, terminal);
  });
}

function collectPixels(text: string, before: readonly number[] = []): readonly number[] {
  return [...before, parsePositive(text)];
}
