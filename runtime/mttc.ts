// The public API of mttc.
export { type ErrorCode, type Fault, MttcError } from "../compiler/diagnostics.ts";
export type { Spec, SpecInput } from "../compiler/spec/schema.ts";
export type { ClassAnswer } from "../compiler/tasks/classAnswers.ts";
export type { ClassReport } from "../compiler/tasks/classEvaluation.ts";
export type { TaskReport } from "../compiler/tasks/report.ts";
export { type AugplotSpec, augplot } from "./augment/augplot.ts";
export { explainRun } from "./export/explainRun.ts";
export { type ExportReport, type ExportRunOptions, exportRun } from "./export/exportRun.ts";
export {
  type Explanation,
  type ImageFault,
  type ImageHeatmap,
  type ImageInput,
  type ModelLimits,
  type Prediction,
  type PredictOptions,
  Predictor,
  type PredictorOptions,
} from "./export/predictor.ts";
export type { EvaluationChoice, EvaluationRows } from "./infer/evaluationLabels.ts";
export type { EvaluationReport } from "./infer/evaluationReport.ts";
export { TrainedRun } from "./infer/trainedRun.ts";
export type { LabelStatistics } from "./labels/labelStatistics.ts";
export type { RuntimeOptions } from "./ort/runtimeOptions.ts";
export type { ProbeOptions } from "./probes/probeSettings.ts";
export { type ComparisonOptions, writeComparison } from "./report/comparisonPage.ts";
export { type Comparison, compareRuns } from "./report/runComparison.ts";
export { type ReportOptions, type WrittenReport, writeReport } from "./report/runReport.ts";
export {
  type CrossValidationOptions,
  type CrossValidationReport,
  crossValidate,
} from "./series/crossValidation.ts";
export type { LabelRow } from "./tables/labelTable.ts";
export { type DataStatistics, type DataStatsOptions, dataStats, dataStatsPlot } from "./train/dataStats.ts";
export type { EpochReport, StepEvent, TrainerEvents } from "./train/events.ts";
export { type FitOptions, MultiTaskTrainer, type TrainerRuntime } from "./train/multiTaskTrainer.ts";
export { type JoinOptions, type RankGroup, Ranks } from "./train/ranks.ts";
export type { LabelSource, TrainerOptions } from "./train/trainerOptions.ts";
