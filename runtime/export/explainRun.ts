// A trained run -> its whole model with heat maps, in memory: to explain images without an export, at any
// layer and for any class.

import { InternalError, MttcError, suggestName } from "../../compiler/diagnostics.ts";
import { exportModel } from "../../compiler/export/exportModel.ts";
import type { HeatmapWish } from "../../compiler/export/heatmaps.ts";
import { exportOrigin } from "./exportOrigin.ts";
import type { ExportSource } from "./exportSource.ts";
import { ParameterValues } from "./parameterValues.ts";
import { Predictor, type PredictorOptions } from "./predictor.ts";
import { fitTasks } from "./taskFits.ts";

/**
 * The model of `run` as it is now, with heat maps; close it. Errors of heat maps as exportModel's, E_USAGE for
 * classes of a task that there is not; others as Predictor.open's.
 */
export async function explainRun(
  run: ExportSource,
  heatmaps: HeatmapWish = {},
  options: PredictorOptions = {},
): Promise<Predictor> {
  const manifest = await run.manifest();
  const { tasks } = await fitTasks(run, manifest, {});
  const names = tasks.map(({ name }) => name);
  for (const name of heatmaps.classes?.keys() ?? [])
    if (!names.includes(name))
      throw new MttcError({
        code: "E_USAGE",
        message: `the run has no task "${name}"`,
        hint: suggestName(name, names),
      });
  const values = new ParameterValues(await run.parameters(), manifest);
  const trunk = await run.trunk();
  const origin = await exportOrigin(run);
  const descriptions = tasks.map(({ description }) => description);
  const [file] = exportModel(run.spec, descriptions, values, { wholeOnly: true, trunk, origin, heatmaps });
  if (!file) throw new InternalError("the export has no whole model");
  values.refuseUnused();
  return await Predictor.openBytes("the run's model", file.bytes, options);
}
