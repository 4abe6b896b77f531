// The section of the spec about a run: where it is written, how long it goes on, and how its images and
// features are kept at hand.
import { z } from "zod";
import { decides, integer, phrase, text } from "./keyKinds.ts";
import { LOG_KEYS } from "./logKeys.ts";
import { PROBE_KEYS } from "./probeKeys.ts";

const cachePhrase = '"auto", true, false or {draws: n}';
const monitorPhrase = '"gain", "gain/TASK" or "TASK/FIGURE"';
const packPhrase = '"auto", true, false or the path of a folder';

const unsurePhrase = "{risk: r} or {coverage: c}, a number between 0 and 1";

/** A share that is neither none nor all. */
function shareOf(name: string) {
  const expected = phrase(`${name} as a number between 0 and 1`);
  return z.number(expected).gt(0, expected).lt(1, expected);
}

/** The keys, in the order in which the README lists them. */
export const RUN_KEYS = {
  logdir: text("the path of a folder")
    .nullable()
    .default(null)
    .describe("Folder that the run is written to: log, checkpoints, spec as resolved.")
    .meta(decides("nothing")),
  epochs: integer(1, 1_000_000)
    .default(10)
    .describe("Epochs that `mttc train` runs.")
    .meta(decides("nothing")),
  init_from: text("the folder of a run or of a compiled bundle, or a file that mttc exported")
    .nullable()
    .default(null)
    .describe(
      "Begin with the weights of another run (its best checkpoint), of a compiled bundle or of a model that mttc exported: " +
        "tensors of the same name and shape, and of heads the classes that both have.",
    )
    .meta(decides("nothing")),
  keep: z
    .enum(["best", "newest"], phrase('"best" or "newest"'))
    .default("best")
    .describe(
      "The checkpoint that `evaluate`, `export` and other readers take: best is that of the best epoch by `monitor`, kept " +
        "beside the newest three (without validation labels there is none, and the newest is taken).",
    )
    .meta(decides("nothing")),
  monitor: text(monitorPhrase)
    .default("gain")
    .describe(
      "What epochs are compared by: `gain`, the mean over the tasks of how far they are above their baselines, " +
        "`gain/TASK`, or a figure of the validation such as `species/macro_recall` or `species/loss`.",
    )
    .meta(decides("nothing")),
  patience: integer(1, 1_000_000)
    .nullable()
    .default(null)
    .describe("Epochs without a better one, by `monitor`, after which training ends; null: it never does.")
    .meta(decides("nothing")),
  num_parallel_calls: z
    .union([z.literal(-1), integer(1, 1_024)], phrase("-1 (automatic) or an integer from 1 to 1024"))
    .default(-1)
    .describe("Images read at the same time; -1 chooses by the machine.")
    .meta(decides("nothing")),
  pack: z
    .union([z.literal("auto"), z.boolean(), text("a folder")], phrase(packPhrase))
    .default("auto")
    .describe(
      "Keep the decoded images on disk, so that later epochs decode nothing: true in `logdir`/cache, a path in a folder " +
        "that runs share, false never, auto where they do not fit into memory.",
    )
    .meta(decides("nothing")),
  pack_format: z
    .enum(["raw", "jpeg"], phrase('"raw" or "jpeg"'))
    .default("raw")
    .describe(
      "How `pack` keeps images: raw pixels, exactly those of decoding, or jpeg, lossy (by 1 to 4 of 255 on average), in " +
        "a quarter to a tenth of the space, decoded at each read; jpeg packs where `pack` is auto, too.",
    ),
  cache_features: z
    .union(
      [
        z.literal("auto"),
        z.boolean(),
        z.strictObject({ draws: integer(1, 1_000).describe("Augmented forms of each image.") }),
      ],
      phrase(cachePhrase),
    )
    .default("auto")
    .describe(
      "Compute the features of a frozen FCN once, and train every epoch on those: auto where it gives the same " +
        "numbers and pays, `{draws: n}` with n augmented forms of each image in turn, false never.",
    )
    .meta(decides("draws")),
  on_bad_image: z
    .enum(["stop", "skip"], phrase('"stop" or "skip"'))
    .default("stop")
    .describe(
      "What an image is that cannot be read: stop looks at the head and the end of every file before the first epoch, " +
        "skip decodes all of them and leaves their rows out, 1 % of a table at most.",
    )
    .meta(decides("nothing")),
  unsure: z
    .union(
      [
        z.strictObject({ risk: shareOf("risk").describe("Share of wrong answers among those given.") }),
        z.strictObject({ coverage: shareOf("coverage").describe("Share of the images that are answered.") }),
      ],
      phrase(unsurePhrase),
    )
    .nullable()
    .default(null)
    .describe(
      "When an exported model calls its answers unsure, by the validation labels: `{risk: 0.05}` promises that at most " +
        "that share of the others is wrong, `{coverage: 0.9}` lets the surest nine of ten pass.",
    )
    .meta(decides("nothing")),
  strategy: z
    .enum(["mpi", "nccl", "auto"], phrase('null, "mpi", "nccl" or "auto"'))
    .nullable()
    .default(null)
    .describe(
      "What several processes that train one model sum their gradients by: MPI, NCCL between GPUs, auto takes NCCL " +
        "where all have a GPU of their own; null is for one process. The numbers are those of one process.",
    )
    .meta(decides("nothing")),
  ...PROBE_KEYS,
  notes: z
    .string(phrase("text"))
    .nullable()
    .default(null)
    .describe("Free text, kept with the run.")
    .meta(decides("nothing")),
  ...LOG_KEYS,
};
