// What an evaluation of a run says: figures of each task, in the form of its kind.
import type { TaskReport } from "../../compiler/tasks/report.ts";

export interface EvaluationReport {
  readonly images: number;
  readonly tasks: Readonly<Record<string, TaskReport>>;
}
