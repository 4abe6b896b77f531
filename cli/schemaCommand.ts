// `mttc schema`: the spec's JSON Schema for editors, or the table of its keys.
import type { Command } from "commander";
import type { Terminal } from "./terminal.ts";

export function addSchemaCommand(program: Command, terminal: Terminal): void {
  program
    .command("schema")
    .description("print the JSON Schema of specs, for editors")
    .option("--markdown", "print a Markdown table of all keys instead")
    .action(async ({ markdown }: { markdown?: boolean }) => {
      const { specJsonSchema, specMarkdownTable } = await import("../compiler/spec/specDocs.ts");
      terminal.out(markdown ? specMarkdownTable() : JSON.stringify(specJsonSchema(), null, 2));
    });
}
