// Which value of a network a user means by the name of a layer: a place of the spec, or a node or value of an
// imported fcn.
import { MttcError, suggestName } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";
import type { ImportedTrunk } from "../model/importedTrunk.ts";
import { partOfTask } from "../model/parameters.ts";
import type { Task } from "../tasks/task.ts";

/**
 * The result of a layer, the last value that was made at its place: `fcn.layers[2]`, `shared_layers[0]`,
 * `task_layers[1]` of the task's own head, a node of the fcn's file by its name or that of its result. E_USAGE
 * with the names near it where there is none.
 */
export function namedLayer(
  b: GraphBuilder,
  name: string,
  task: Task,
  trunk: ImportedTrunk | undefined,
): Value {
  const inFile = trunk?.graph.nodes.find(({ outputs }) => outputs.some((output) => output.name === name));
  const wanted = [name, inFile?.outputs[0]?.origin];
  const values = b.nodes.flatMap(({ outputs }) => outputs.slice(0, 1));
  const ofTask = `${partOfTask(task.name)}.`;
  const found = values.findLast((value) => namesOf(value, ofTask).some((each) => wanted.includes(each)));
  if (found) return found;
  const maps = values.filter(({ type }) => type.shape.length === 4);
  const names = [...new Set(maps.flatMap((value) => namesOf(value, ofTask).slice(-1)))];
  throw new MttcError({
    code: "E_USAGE",
    message: `the network has no layer "${name}"`,
    hint: suggestName(name, names),
  });
}

/** What a layer may be called: its place, and that without what says that it is of the fcn or the task's. */
function namesOf({ origin }: Value, ofTask: string): string[] {
  const short = origin.startsWith(ofTask) ? origin.slice(ofTask.length) : origin.replace(/^fcn\//, "");
  return [origin, short];
}
