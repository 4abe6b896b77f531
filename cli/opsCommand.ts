// `mttc ops`: the operators that mttc knows, how the derivative of each is proved, and what import does to others.
import type { Command } from "commander";
import type { OpsFlags } from "./opsAction.ts";
import type { Terminal } from "./terminal.ts";

export function addOpsCommand(program: Command, terminal: Terminal): void {
  program
    .command("ops")
    .description("list the operators, what is proved of their derivatives, and what import does to others")
    .option("--json", "print the table as JSON")
    .option("--markdown", "print the table as Markdown")
    .action(async (flags: OpsFlags) => {
      const { listOperators } = await import("./opsAction.ts");
      listOperators(flags, terminal);
    });
}
