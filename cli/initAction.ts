// What `mttc init` does: label table -> commented spec, and what is odd about the labels.
import { basename, dirname, join, relative, resolve } from "node:path";
import { formatFault, MttcError } from "../compiler/diagnostics.ts";
import { parseSpec } from "../compiler/spec/parseSpec.ts";
import { visibleText } from "../compiler/visibleText.ts";
import { writeFileAtomically } from "../runtime/files/atomicDirectory.ts";
import { refuseForeignFile } from "../runtime/files/ownOutput.ts";
import { labelsStatistics } from "../runtime/train/dataStats.ts";
import { type Experiment, experimentFromSpec } from "../runtime/train/experiment.ts";
import { outerFolder } from "./imageSearch.ts";
import { medianImageSize, readTableFacts } from "./labelColumns.ts";
import { shownPath } from "./pathText.ts";
import { draftSpec } from "./specDraft.ts";
import { count } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** Options of the command. */
export interface InitFlags {
  readonly output: string;
  readonly val?: string;
  readonly overwrite?: boolean;
}

/** Writes a spec for the label table or folder `labels`. */
export async function writeDraft(labels: string, flags: InitFlags, terminal: Terminal): Promise<void> {
  const { output, val } = flags;
  await refuseForeignFile(output, undefined, flags.overwrite);
  const facts = await readTableFacts(labels);
  const size = await medianImageSize(facts.samples);
  if (size === undefined) terminal.note("warning: none of the first images can be read; imshape is a guess");
  const from = (path: string): string => relative(dirname(resolve(output)), resolve(path)) || path;
  const text = draftSpec(facts, {
    trainLabels: from(labels),
    valLabels: val === undefined ? undefined : from(val),
    name: basename(resolve(labels)).replace(/\.[^.]*$/, ""),
    imageSize: size,
    imageRoot: size === undefined ? undefined : imageRoot(facts.samples, labels, output),
  });
  const spec = parseSpec(text, output);
  await writeFileAtomically(output, text);
  await noteOddities(experimentFromSpec(spec, output), terminal);
  const tasks = facts.tasks
    .map(({ name, classes, kind }) => {
      return `${visibleText(name)} (${kind ? kind.holds : `${classes.length} classes`})`;
    })
    .join(", ");
  const shown = shownPath(resolve(output));
  terminal.out(`Written to ${shown}: ${facts.rows} rows, tasks ${tasks}`);
  terminal.out(`Next: read and edit it, then  mttc inspect ${shown}  and  mttc train ${shown}`);
}

/** The folder of images that lie neither beside the table nor beside the spec. */
function imageRoot(samples: readonly string[], labels: string, output: string): string | undefined {
  const folder = dirname(resolve(output));
  const outer = outerFolder(samples, [dirname(resolve(labels)), folder, resolve(labels)]);
  if (outer === undefined) return undefined;
  const way = relative(folder, outer);
  return way.startsWith(join("..", "..", "..")) ? outer : way;
}

/** What training would say of the labels, or refuse in them; the draft is for the person to mend it in. */
async function noteOddities(experiment: Experiment, terminal: Terminal): Promise<void> {
  const warn = (text: string): void =>
    terminal.note(`warning: ${text.split("\n").map(visibleText).join("\n")}`);
  try {
    const { missing, warnings } = await labelsStatistics(experiment);
    for (const { task, column = task, split, spelling, cells } of missing)
      terminal.note(
        visibleText(`${column}: ${count(cells)} missing labels in ${split} (${spelling || "empty"})`),
      );
    for (const warning of warnings) warn(warning);
  } catch (error) {
    if (!(error instanceof MttcError)) throw error;
    for (const fault of error.faults) warn(`training will refuse this: ${formatFault(fault)}`);
  }
}
