// `mttc doctor`: what this machine has for training on the CPU and on CUDA, what is missing, and the command
// that mends it. Ends with 0 whatever it finds: it is a description.
import type { Command } from "commander";
import type { Terminal } from "./terminal.ts";

interface Flags {
  readonly ort?: string;
  readonly json?: boolean;
}

export function addDoctorCommand(program: Command, terminal: Terminal): void {
  program
    .command("doctor")
    .description("what this machine has for training: runtime, CUDA provider, driver, devices, libraries")
    .option("--ort <path>", "ONNX Runtime's library or its folder")
    .option("--json", "print the findings as JSON")
    .action(async ({ ort, json }: Flags) => {
      const { examineMachine } = await import("./doctorAction.ts");
      await examineMachine(ort, json === true, program.version() ?? "", terminal);
    });
}
