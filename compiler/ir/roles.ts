// What a tensor at a graph's border is for: whoever builds a graph says so where an input or output is
// declared, and whoever runs it reads the same in manifest.json, beside name and type. Plain data. What the
// host must put into an input stands here too, so that nothing has to be read out of names.

/** The role of an input or output of a graph. */
export type TensorRole =
  | StateRole
  | AccumulatorRole
  | LossesRole
  | ImageRole
  | FeaturesRole
  | AugmentRole
  | AugmentedRole
  | LabelRole
  | MaskRole
  | DrawRole
  | ScalarRole
  | FigureRole
  | GramRole
  | GradientWeightsRole
  | PredictionRole;

export type RoleName = TensorRole["role"];

/** A tensor that training changes: an input is its value, an output with `replaces` the next one. */
export interface StateRole {
  readonly role: "state";
  /** The parameter that it is, or that the optimizer keeps it for; absent for those of the whole step. */
  readonly of?: string;
  /** Of an output: name of the state tensor that takes this value once the step is done. */
  readonly replaces?: string;
}

/** A sum between micro-batches, of gradients or of losses beside them; zeros when a logical batch begins. */
export interface AccumulatorRole {
  readonly role: "accumulator";
  /** The parameter whose gradients are summed; absent of the tasks' mean losses, float32 [T]. */
  readonly of?: string;
  /** Where each of these tasks has a gradient, or a loss, of its own: along a first axis, in this order. */
  readonly tasks?: readonly string[];
  /** Of an output: name of the accumulator that takes this value once the micro-batch is done. */
  readonly replaces?: string;
}

/**
 * The tasks' mean losses over the logical batch by the parameters of now, float32 [T], summed up by runs of
 * `losses` on all micro-batches: zeros in the first of these runs.
 */
export interface LossesRole {
  readonly role: "losses";
  readonly tasks: readonly string[];
  /** Of an output: name of the sum that takes this value once the micro-batch is done. */
  readonly replaces?: string;
}

/** Images [N,H,W,C] as the manifest's `preprocessing` says. */
export interface ImageRole {
  readonly role: "image";
}

/** Features of images: what the trunk gives, and what the graphs on features take in place of images. */
export interface FeaturesRole {
  readonly role: "features";
}

/**
 * Parameters of augmentation, float32 [N,P]: a row for each image, in it the columns of each operation in
 * this order.
 */
export interface AugmentRole {
  readonly role: "augment";
  readonly operations: readonly DrawnOperation[];
}

/**
 * An operation of augmentation, and the random stream (seed, stream, epoch, sample) that its columns are
 * drawn from.
 */
export interface DrawnOperation {
  readonly name: string;
  /** The operation's number in the spec. */
  readonly strength: number;
  readonly columns: readonly string[];
  readonly stream: string;
}

/** Augmented images, float32 [N,C,H,W] of [0, 1]. */
export interface AugmentedRole {
  readonly role: "augmented";
}

/** Labels of a task, a row for each image; dtype and shape are the tensor's own. */
export interface LabelRole {
  readonly role: "label";
  readonly task: string;
  /**
   * class_index: place of the class in the task's list, int64 [N]; number: as measured, float32 [N,W];
   * flags: 1 of tags that the image has, 0 of others, uint8 [N,W].
   */
  readonly encoding: LabelEncoding;
  /** What stands where there is no label; "nan" because JSON has no such number. */
  readonly missing: number | "nan";
}

export type LabelEncoding = "class_index" | "number" | "flags";

/** A dropout mask, float32 [N,C,1,1]. */
export interface MaskRole {
  readonly role: "mask";
  /** Place of the layer in the spec. */
  readonly layer: string;
  /** Share of the elements that are dropped. */
  readonly rate: number;
  /**
   * scaled_bernoulli: element by element in row-major order of the whole logical batch, 0 where the next
   * number of the random stream (seed, stream, step) is below rate, else 1 / (1 - rate). A micro-batch takes
   * its rows.
   */
  readonly draw: "scaled_bernoulli";
  readonly stream: string;
}

/** A tensor that the host draws for a step, the same for all micro-batches of a logical batch. */
export interface DrawRole {
  readonly role: "draw";
  readonly draw: StepDraw;
  readonly stream: string;
}

/**
 * task_orders: int64 [T,T-1], of each task the places of the others in a drawn order. From the random stream
 * (seed, stream, step), task by task: p = the others' places, rising; for i = T - 2 down to 1 exchange p[i]
 * and p[j], j = floor(uniform (i + 1)).
 */
export type StepDraw = "task_orders";

/** Numbers beside the batch, the same for all micro-batches of a logical batch. */
export type ScalarRole = { readonly role: "scalar" } & (
  | { readonly scalar: "learning_rate"; readonly value: Schedule }
  | { readonly scalar: "task_weight"; readonly task: string; readonly value: TaskWeight }
  | { readonly scalar: "inverse_count"; readonly task: string; readonly value: InverseCount }
  | { readonly scalar: "class_weights"; readonly task: string; readonly value: ClassWeights }
);

/**
 * A number as a function of the step s, from 0 over the whole run. `value` is the largest; with `warmup` W it
 * rises from 0 in W steps, value s / W, and the formula counts from there: t = s - W.
 * - constant: value, always; warmup: value after the rise
 * - exponential: value rate^(t / steps); staircase: value rate^floor(t / steps)
 * - cosine: value (least + (1 - least) (1 + cos(pi min(t / steps, 1))) / 2)
 * - cosine_restarts: value (1 + cos(pi u)) / 2, u the share of the present period that is over; the first has
 *   `steps` steps, each further one `growth` times as many as the one before
 * - one_cycle: with T steps ("run": all of the run) and the peak at P = rise T - 1, from value / start up to
 *   value, then down to value / start / end at T - 1, each along half a cosine; that from there on
 */
export type Schedule =
  | { readonly formula: "constant"; readonly value: number }
  | { readonly formula: "warmup"; readonly value: number; readonly warmup: number }
  | ({ readonly formula: "exponential" | "staircase"; readonly rate: number } & Decay)
  | ({ readonly formula: "cosine"; readonly least: number } & Decay)
  | ({ readonly formula: "cosine_restarts"; readonly growth: number } & Decay)
  | {
      readonly formula: "one_cycle";
      readonly value: number;
      readonly steps: number | "run";
      readonly rise: number;
      readonly start: number;
      readonly end: number;
    };

interface Decay {
  readonly value: number;
  readonly steps: number;
  readonly warmup: number;
}

/**
 * The factor of a task's loss, `value` times, with K tasks of the same formula that take part and e_t of
 * each:
 * - constant: 1
 * - dynamic_average: K e_t / sum(e), e_t = exp(L_1 / L_2 / temperature), with L_1 and L_2 the task's mean
 *   losses over the last epoch and the one before. Tasks whose ratio is finite take part; 1 for others, and
 *   for all in the first two epochs
 * - random_softmax: K e_t / sum(e), e_t = exp(n), n a normal number of the random stream (seed, stream, step,
 *   place of the task in the list). Tasks with a label in the logical batch take part; 0 for others
 * A task whose `value` is 0 never takes part.
 */
export type TaskWeight =
  | { readonly formula: "constant"; readonly value: number }
  | { readonly formula: "dynamic_average"; readonly value: number; readonly temperature: number }
  | { readonly formula: "random_softmax"; readonly value: number; readonly stream: string };

/**
 * Of a task in the whole logical batch, 0 where it has no label there:
 * - inverse_labelled: 1 / labelled rows
 * - inverse_weight: 1 / sum of the class weights of the labelled rows; `weights` names that input
 */
export type InverseCount =
  | { readonly formula: "inverse_labelled" }
  | { readonly formula: "inverse_weight"; readonly weights: string };

/**
 * A weight for each class or tag of the task, float32 [classes]:
 * - constant: these
 * - balanced: n / (C n_c) of the training labels, with n labelled rows, C classes that have any and n_c rows
 *   of the class; 1 for a class without rows
 * - balanced_positives: of each tag n_0 / n_1 of the training labels, rows that have it not and rows that
 *   have it; 1 where one of them is 0
 */
export type ClassWeights =
  | { readonly formula: "constant"; readonly value: readonly number[] }
  | { readonly formula: "balanced" }
  | { readonly formula: "balanced_positives" };

/** A number about the rows of a task, summed over the micro-batch; the host adds up micro-batches. */
export interface FigureRole {
  readonly role: "figure";
  readonly task: string;
  /** Of classes: loss_sum (cross-entropy of the labelled rows, unweighted), count (of these), correct. */
  readonly figure: string;
}

/**
 * Products of two tasks' gradients of the parameters that they share, float32 [T,T], of the whole logical
 * batch and of the objective without the loss scale. Tasks without a label in it have zeros; not finite where
 * a step overflowed.
 */
export interface GramRole {
  readonly role: "gram";
  readonly tasks: readonly string[];
}

/** What each task's gradient was weighed with, float32 [T]; 0 of tasks without a label. */
export interface GradientWeightsRole {
  readonly role: "gradient_weights";
  readonly tasks: readonly string[];
}

/** What the network says of each row for a task, float32 [N, ...]. */
export interface PredictionRole {
  readonly role: "prediction";
  readonly task: string;
  /** Of classes: logits and probabilities. */
  readonly prediction: string;
}

/**
 * What a graph of a bundle is for:
 * - train: state + batch -> next state and figures, a whole step
 * - grad: state + micro-batch + accumulators -> next accumulators and statistics, figures
 * - apply: state + accumulators -> next state; after the micro-batches of a logical batch
 * - losses: state + micro-batch + sum of losses -> next sum, figures; where a step learns factors of losses:
 *   of each micro-batch once more after apply, and before the first grad where that takes the sum
 * - factors: state + sums of losses -> next factors, at the step's end
 * - evaluate: state + batch -> predictions
 * - trunk: images -> features
 * - augment: images -> augmented images
 */
export type GraphPurpose =
  | "train"
  | "grad"
  | "apply"
  | "losses"
  | "factors"
  | "evaluate"
  | "trunk"
  | "augment";
