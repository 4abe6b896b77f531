// The mttc command: one file per subcommand, errors to text and exit codes in one place. Loaded by
// cli/mttc.cjs.
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { addAdoptCommand } from "./adoptCommand.ts";
import { addAugplotCommand } from "./augplotCommand.ts";
import { addClientCommand } from "./clientCommand.ts";
import { addCompareCommand } from "./compareCommand.ts";
import { addCompileCommand } from "./compileCommand.ts";
import { addCrossValidateCommand } from "./crossValidateCommand.ts";
import { addDataCommand } from "./dataCommand.ts";
import { addDoctorCommand } from "./doctorCommand.ts";
import { addEmbedCommand } from "./embedCommand.ts";
import { reportError } from "./errorReport.ts";
import { addEvaluateCommand } from "./evaluateCommand.ts";
import { addExplainCommand } from "./explainCommand.ts";
import { addExportCommand } from "./exportCommand.ts";
import { addImportCommand } from "./importCommand.ts";
import { addInitCommand } from "./initCommand.ts";
import { addInspectCommand } from "./inspectCommand.ts";
import { addLabelsCommand } from "./labelsCommand.ts";
import { obeyLauncher, placeIfKnown, refuseInSeveral, reportOfRank, silentTerminal } from "./launchedRank.ts";
import { addLogCommand } from "./logCommand.ts";
import { addOpsCommand } from "./opsCommand.ts";
import { addPredictCommand } from "./predictCommand.ts";
import { addProbeCommand } from "./probeCommand.ts";
import { endProgram } from "./programEnd.ts";
import { addReportCommand } from "./reportCommand.ts";
import { addSchemaCommand } from "./schemaCommand.ts";
import { addSetupCudaCommand } from "./setupCudaCommand.ts";
import { addSetupMpiCommand } from "./setupMpiCommand.ts";
import { addSweepCommand } from "./sweepCommand.ts";
import { processTerminal } from "./terminal.ts";
import { addTrainCommand } from "./trainCommand.ts";

const COMMANDS = [
  addInitCommand,
  addLabelsCommand,
  addInspectCommand,
  addImportCommand,
  addCompileCommand,
  addDataCommand,
  addAugplotCommand,
  addTrainCommand,
  addAdoptCommand,
  addSweepCommand,
  addLogCommand,
  addCrossValidateCommand,
  addEvaluateCommand,
  addReportCommand,
  addCompareCommand,
  addExportCommand,
  addPredictCommand,
  addClientCommand,
  addEmbedCommand,
  addProbeCommand,
  addExplainCommand,
  addSchemaCommand,
  addOpsCommand,
  addDoctorCommand,
  addSetupCudaCommand,
  addSetupMpiCommand,
] as const;

/** Runs the command line `args` (without node and script) and returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const own = processTerminal();
  const place = placeIfKnown();
  if (place) obeyLauncher(place);
  const isFollower = place !== undefined && place.rank > 0;
  const terminal = isFollower ? silentTerminal(own) : own;
  const program = new Command("mttc")
    .description("Multi-task image models, compiled to ONNX and trained with ONNX Runtime.")
    .version(packageVersion())
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.out(text.replace(/\n$/, "")),
      writeErr: (text) => terminal.note(text.replace(/\n$/, "")),
    })
    .showHelpAfterError("(--help shows what there is)");
  for (const add of COMMANDS) add(program, terminal);
  if (place) program.hook("preAction", (_, command) => refuseInSeveral(command, place));
  try {
    await program.parseAsync(args, { from: "user" });
    return 0;
  } catch (error) {
    return isFollower ? await reportOfRank(error, place, own) : reportError(error, terminal);
  }
}

function packageVersion(): string {
  const file = new URL("../../package.json", import.meta.url);
  const { version } = JSON.parse(readFileSync(file, "utf8")) as { version: string };
  return version;
}

endProgram(await main(process.argv.slice(2)));
