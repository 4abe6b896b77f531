// `mttc data stats`: what the label tables of a spec hold and what a batch will hold of them, as tables or
// JSON.
import type { Command } from "commander";
import { batchShares, classCounts, labelledTogether } from "../runtime/data/labelStatistics.ts";
import { readLabels } from "../runtime/train/trainerOptions.ts";
import { loadSpecOrRun } from "./specFile.ts";
import { count, decimal, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** Adds `stats` to `mttc data`. */
export function addDataStatsCommand(data: Command, terminal: Terminal): void {
  data
    .command("stats")
    .description("counts of the labels, tasks labelled together, and what a batch holds of each task")
    .argument("<spec>", "spec file or run folder")
    .option("--json", "print JSON")
    .action(async (path: string, { json = false }: { json?: boolean }) => {
      const { spec, ...experiment } = await loadSpecOrRun(path);
      const { train, val, classes } = await readLabels({ spec, ...experiment });
      const facts = {
        rows: { train: train.paths.length, val: val?.paths.length ?? 0 },
        classes,
        train: classCounts(train, classes),
        val: val ? classCounts(val, classes) : null,
        together: labelledTogether(train),
        batch: batchShares(train, spec),
      };
      if (json) return terminal.out(JSON.stringify(facts));
      const ofClasses = train.tasks.flatMap((task) =>
        (classes[task] ?? []).map((name, i) => [
          task,
          name,
          count(facts.train[task]?.[i] ?? 0),
          facts.val ? count(facts.val[task]?.[i] ?? 0) : "-",
        ]),
      );
      terminal.out(renderTable(terminal, ["task", "class", "train", "val"], ofClasses, [2, 3]));
      const together = train.tasks.map((task, a) => [task, ...(facts.together[a] ?? []).map(count)]);
      const columns = train.tasks.map((_, i) => i + 1);
      terminal.out(`\n${renderTable(terminal, ["labelled together", ...train.tasks], together, columns)}`);
      const shares = facts.batch.map(({ task, labelled, perBatch, chanceOfNone }) => [
        task,
        count(labelled),
        decimal(perBatch, 1),
        chanceOfNone.toExponential(1),
      ]);
      const head = ["task", "labelled", `in a batch of ${spec.batch_size}`, "chance of none"];
      terminal.out(`\n${renderTable(terminal, head, shares, [1, 2, 3])}`);
    });
}
