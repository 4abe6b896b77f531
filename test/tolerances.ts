// Every tolerance of the tests: named, with its reason, never scaled by size.
// Each is the smallest round number that the arithmetic compared honestly needs; a test names the one it
// uses.
/**
 * Standard errors that a share or mean of seeded draws may lie off: one honest draw in 15,000 is further
 * away.
 */
export const DRAW_STANDARD_ERRORS = 4;
/** K softmax of K <= 40 float64 numbers: some roundings of 1.1e-16 of weights up to 40. */
export const WEIGHT_FLOAT64 = 1e-12;
/** Sums of a few float64 numbers below 1, each rounded to 1.1e-16. */
export const SUM_FLOAT64 = 1e-15;
/** A whole run in float64 against float64 PyTorch: only the order of sums differs (the bound). */
export const FLOAT64_RUN = 1e-8;
/** A learning rate of at most 1 in float64: some roundings of a cosine, a power or a logarithm. */
export const SCHEDULE_FLOAT64 = 1e-15;
/**
 * State after ten steps of ONNX Runtime Training beside train.onnx, of each tensor's norm (the issue's
 * bound): measured 6.3e-6 at most, other kernels and the update in another order.
 */
export const ORT_TRAINING_STATE = 1e-5;
/**
 * The same of Adam's second moments, which that runtime makes of 1 - 0.999 in float32: 1.3e-5 less than it
 * is; its correction of the bias is less by as much.
 */
export const ORT_TRAINING_SECOND_MOMENT = 2e-5;
/** What a tensor moves by in ten steps at least, of its norm. */
export const ORT_TRAINING_MOVED = 1e-3;
/** Answers of a model that ONNX Runtime Training exports beside those of the evaluation model, of 1. */
export const ORT_TRAINING_ANSWERS = 1e-6;
/** The same as ONNX Runtime computes it of a step: float32 behind a cosine of float32. */
export const ORT_RATE = 1e-7;
/** What a bound that is rounded to float32 may be passed by, of magnitude 1. */
export const BOUND_FLOAT32 = 1e-6;
/**
 * A whole run of 50 steps in float32 on ORT against float64 PyTorch, relative to each tensor's norm (the
 * issue's bound).
 */
export const FLOAT32_RUN = 1e-5;
/** Levels of 255 by which JPEG of quality 100 may move a smooth picture (chroma subsampling included). */
export const JPEG_LEVELS = 8;
/** Mean levels of 255 by which the packed cache's JPEGs (quality 90, 4:4:4) may miss a smooth picture. */
export const PACKED_JPEG_MEAN_LEVELS = 2;
/** Levels of 255 by which a CMYK JPEG may miss its picture: row 11 of the list of hostile inputs. */
export const CMYK_LEVELS = 4;
/**
 * A batch norm folded into float32 filters against itself unfolded, on numbers of magnitude 10: a few
 * roundings.
 */
export const FOLDED_FLOAT32 = 1e-5;
/**
 * Derivatives against central differences with step 1e-5 in float64: truncation about 1e-10, rounding about
 * 1e-11; a thousandfold margin for large third derivatives. Relative to max(1, norm of the differences).
 */
export const GRADIENT_CHECK = 1e-6;
/**
 * One operator in float32 on ONNX Runtime against the float64 reference, relative to the largest expected
 * value: float32 rounds by 6e-8, and samples sum at most some hundred terms (measured: 2.3e-7 at most).
 */
export const ORT_FLOAT32 = 1e-6;
/** ... and operators that need more: a sum may cancel to less than its terms (measured: 6.3e-7). */
export const ORT_FLOAT32_OF: Readonly<Record<string, number>> = { ReduceSum: 2e-6 };
/**
 * ORT's float32 may end this many times as far from float64 as PyTorch's own float32 run does (batch norm in
 * training form).
 */
export const FLOAT32_GAP_FACTOR = 3;
/** A step's mean loss in float32 against float64: losses are near 1, sums of a few rows. */
export const FLOAT32_STEP_LOSS = 1e-4;
/**
 * Median ms of a tiny graph's step over the worker thread: 0.13 measured when idle, room for a machine with
 * other work.
 */
export const STEP_ROUND_TRIP_MS = 3;
/**
 * Growth of the process over 1,000 steps that move 3 MB each: a leak of any of them would be 1 GB,
 * collection's slack is 50 MB.
 */
export const LEAK_BYTES = 200e6;
/**
 * A form of one of our operators against its reference, both in float64: only the order of some hundred terms
 * differs.
 */
export const FORM_FLOAT64 = 1e-9;
/** Compiling any example must take under this many milliseconds (the bound). */
export const COMPILE_MS = 1000;
/** Products and sums of 25,000 float64 factors, each rounded to 1.1e-16. */
export const CHAIN_FLOAT64 = 1e-10;
/** A graph before and after a pass, in float64: at most a few sums are in another order. */
export const PASS_FLOAT64 = 1e-12;
/**
 * train.onnx against grad.onnx and apply.onnx, relative to each tensor's norm (architecture.md section 3).
 */
export const GRAD_APPLY = 1e-6;
/**
 * Micro-batches against one batch, relative to each tensor's norm, without batch norm (architecture.md
 * section 3).
 */
export const MICRO_BATCHES = 1e-5;
/**
 * Gradients whose sums over tasks are taken in another order, relative to their norm, in float32: a few
 * roundings.
 */
export const SUM_ORDER_FLOAT32 = 1e-6;
/** The same in float64. */
/** Gradients of several processes summed, beside those of one: other orders, through several norms. */
export const RANKS_FLOAT32 = 1e-5;
export const SUM_ORDER_FLOAT64 = 1e-12;
/** Reference numbers that are given with nine digits after the point. */
export const REFERENCE_DIGITS = 1e-9;
/** The same numbers, of magnitude 1, found in float32: a few roundings of 6e-8. */
export const REFERENCE_FLOAT32 = 1e-6;
/** Reference numbers that are given with six digits after the point. */
export const SIX_DIGITS = 1e-6;
/**
 * A small Keras model in float32 on ORT against Keras's own float32 (the bound; measured: 6e-7 at
 * most).
 */
export const KERAS_FLOAT32 = 1e-5;
/**
 * ... and on the float64 interpreter against Keras in float64, which rounds some constants to float32 on
 * the way: means of Normalization, sqrt 2 of gelu (measured: 1.3e-8 at most).
 */
export const KERAS_FLOAT64 = 1e-7;
/** ... where it resizes images: TensorFlow does that in float32 always (measured: 3e-7). */
export const KERAS_RESIZED = 1e-6;
/**
 * A small imported model in float32 (ONNX Runtime, or PyTorch's folding of norms) against float64: a few
 * roundings in a row.
 */
export const IMPORTED_FLOAT32 = 1e-5;
/**
 * Augmentation against TensorFlow's float32 results, kept in 65535ths of the range of pixels (the issue's
 * bound).
 */
export const AUGMENT_FLOAT32 = 1e-4;
/** Simulated JPEG against TensorFlow's codec: mean difference of pixels in [0, 1] (the bound). */
export const AUGMENT_JPEG_MEAN = 3 / 255;
/**
 * A whole family in float32 on ONNX Runtime against float64 PyTorch, relative to each tensor's norm (the
 * issue's bound; measured: 1.3e-5 at most with frozen norms).
 */
export const FAMILY_FLOAT32 = 1e-4;
/**
 * Where PyTorch's own float32 gradients are further than this from float64, relative to their norm,
 * float32 cannot tell right from wrong within FAMILY_FLOAT32: the network is judged in float64.
 */
export const FLOAT32_CONDITION = 5e-5;
/**
 * Eight roundings of a float32, relative to a tensor's norm: where the reference's own float32 run happens to be
 * nearer than that, three times its distance would ask for less than rounding.
 */
export const FLOAT32_ROUNDING = 1e-6;
/**
 * A gradient whose norm is below this part of the mean norm of all is zero but for rounding: in float64, the
 * sums of a bias before a norm in training form cancel to 1e-14 of their terms.
 */
export const VANISHING_GRADIENT = 1e-9;
/**
 * Milliseconds of processor time that importing and compiling a ResNet-50-sized trunk may take (the issue's
 * bound).
 */
export const RESNET50_MS = 3000;
/** ... and must let the process grow by less than this (the bound). */
export const RESNET50_BYTES = 1e9;
/**
 * Lanczos 3 of float32 planes against Pillow's: values up to 4, both sum in float64 and round twice to
 * float32 (2^-23 of 4 each).
 */
export const LANCZOS_FLOAT32 = 1e-6;
/**
 * A step in float16 against the same in float32, relative to each tensor's norm: a rounding is 5e-4, over the
 * few layers of the tests.
 */
export const FLOAT16_STEP = 1e-2;
/** ... and the least distance that shows that float16 was used at all: 100 roundings of float32. */
export const FLOAT16_LEAST = 1e-5;
/**
 * A batch norm and its gradient with results rounded to float16, relative to each tensor's norm: a rounding
 * is 2e-4 at random, and the longest way has four (measured: 5e-4).
 */
export const FLOAT16_NORM = 1e-3;
/** Of a batch norm in float16 whose cotangent has a mean of 10 deviations: 10 roundings of 2^-11. */
export const FLOAT16_NORM_OF_ONE_SIGN = 5e-3;
/** A hostile image is refused within this (the bound for every hostile input). */
export const HOSTILE_IMAGE_MS = 5_000;
/** ... and lets the process grow by less than this: the 512 MB less what the process has at rest. */
export const HOSTILE_IMAGE_BYTES = 300e6;

/**
 * The loader's warps against augment.onnx, in levels of 255: the half level of the last rounding, and what
 * fixed point loses before it. The bound is 1.
 */
export const AUGMENT_WARP_LEVELS = 0.6;
/** Sums of some thousand float32 terms against float64, relative to the largest (measured: 1.2e-6). */
export const LONG_SUM_FLOAT32 = 5e-6;
/**
 * A training step compiled for CUDA against the same compiled for the CPU, both in float32 on ONNX Runtime's
 * CPU, relative to each tensor's norm (the bound for parity of tensors is 1e-4).
 */
export const TARGETS_FLOAT32 = 1e-5;
/** Four steps in float32 on one provider against another, relative to each tensor's norm (the bound). */
export const DEVICE_STATE = 1e-4;
/** Sums of the losses of two images, of magnitude 1, on one provider against another. */
export const DEVICE_LOSS = 1e-4;
/** A process that reads one image, whatever the image, takes less than this (the bound). */
export const IMAGE_PROCESS_BYTES = 512e6;
/** Edges of pixels up to 2.55 against TensorFlow: sums of six float32 products up to 10, rounded in turn. */
export const SOBEL_FLOAT32 = 1e-5;
/** Rounding of half precision: ONNX's suite computes in float16 or bfloat16, mttc in float32. */
export const CONFORMANCE_HALF = 1e-2;
/** Derivatives of ONNX's suite against differences of step 1e-5, and on ONNX Runtime, by the norm. */
export const CONFORMANCE_GRADIENT = 1e-3;
/** Slopes to either side that differ by more than this share are a kink. */
export const CONFORMANCE_KINK = 1e-3;
/** A mean loss of magnitude 1 of a run that another machine trained and evaluated. */
export const OLDER_RUN_LOSS = 1e-4;

/**
 * Pixels of one image file by one reader on another processor, of 255: the image library's SIMD code rounds
 * by its own width.
 */
export const READ_PIXELS = 2;

/** The Python client beside training's reader, mean over an image of 255: 0 but for the three below. */
export const PYTHON_READ_MEAN = 0;

/** The same for 16 bits a channel, which it cuts before the resize, and embedded profiles: measured 0.4. */
export const PYTHON_DEEP_MEAN = 0.6;

/** The same for WebP, which training has its decoder reduce: measured 1.3 to 3.1. */
export const PYTHON_WEBP_MEAN = 4;

/** The same for CMYK without a profile, whose colours lie between those of a coarse grid: measured 2.2. */
export const CMYK_READ_MEAN = 3;

/**
 * State that another driver trained of a compiled bundle, of a tensor's norm (the bound): measured 0
 * for the same graphs, 4e-6 after twenty steps of graphs for another target.
 */
export const DRIVER_WEIGHTS = 1e-5;
/** What a tensor has moved at least in training, of its norm: far more than a driver may be off. */
export const DRIVER_MOVED = 1e-3;
/** Logits of a linear probe against scikit-learn: both stop where the gradient is below 1e-6 of the loss. */
export const PROBE_LOGITS = 2e-3;
/** What a minimum in float64, found until its gradient is below 1e-6, may lie off. */
export const FLOAT64_MINIMUM = 1e-6;

/** A heat map, from 0 to 1, in float64 against PyTorch's Grad-CAM in float64, kept with nine digits. */
export const HEATMAP_FLOAT64 = 1e-6;
/**
 * The same in float32 on ONNX Runtime: a map that is small beside its terms loses what cancels (measured:
 * 1.02e-6 of one map, 3e-7 of the others; PyTorch's own float32 4e-7).
 */
export const HEATMAP_FLOAT32 = 2e-6;

/** A temperature, a Platt scale and their errors against SciPy's, in float64 (the bound). */
export const CALIBRATED = 1e-8;
/** The same in float32: a quotient of a logit, and a softmax of it. */
export const CALIBRATED_FLOAT32 = 1e-6;
/**
 * What a client answers beside `mttc predict`, of probabilities and of numbers relative to those over 1: the
 * same graph on other builds of ONNX Runtime (the bound).
 */
export const CLIENT_NUMBERS = 1e-5;

/**
 * The resize in a file's graph against training's, of 255: all numbers of the test were equal. 1 is for a
 * weight on the border of two 4096ths, which sines of other libraries may round otherwise.
 */
export const RESIZE_IN_GRAPH = { largest: 1, different: 1e-4 } as const;

/** The same for luminance: all were equal here, and 5 of a million colours off by 1, by float32 powers. */
export const GREY_IN_GRAPH = { largest: 1, different: 1e-3 } as const;

/**
 * Numbers of a file for any size against those of the file for one size, on the same pixels: one image is run
 * at a time here and all at once there, so that sums are added in other orders.
 */
export const ANY_SIZE_ANSWERS = 1e-6;

/**
 * State after 50 steps of several ranks against that of one process, of each tensor's norm: sums of the rows
 * are added in another order. Measured: 6e-7 at most, of a bias.
 */
export const RANKS_TRAINED = 1e-6;

/**
 * The same where `aligned` weighs the gradients: it divides by the least singular value of their Gram matrix,
 * and a rounding grows. Measured: 1.4e-6 of a bias, with two ranks as with two micro-batches of one process;
 * 1.8e-6 with three micro-batches, 1.3e-6 with three ranks.
 */
export const RANKS_ALIGNED = 3e-6;

/**
 * The same with batch norms: a bias behind one that begins at 0 has gradients of both signs that nearly
 * cancel, so that rounding is more of what is left. Measured: 4.4e-6 of one of 6 numbers, 8e-7 of all others.
 * It is rounding: the same 52 steps in the float64 interpreter, of three seeds, are 3.8e-6, 2.2e-6 and 2.7e-6
 * from one process at most and 2.9e-6, 2.2e-6 and 2.8e-6 from two ranks (root of the mean square over the
 * tensors 7.4e-7 and 7.2e-7); of 186 tensors 112 are as near or nearer with two ranks.
 */
export const RANKS_NORMED = 1e-5;

/**
 * Mean levels of 255 by which a client may read an odd picture otherwise than training: roundings of an
 * inverse DCT and of a colour profile; of 16 bits the high byte before the resize (measured 0.18). Larger
 * ones stand by name with each client.
 */
export const CLIENT_READ_MEAN = 0.25;
/** Weights of tasks in float64 beside those of other programs (the bound). */
export const COMBINE_WEIGHTS = 1e-6;
/**
 * The same weights by another way to them in float64: of the present tasks alone, in another order, of scaled
 * gradients (the bound).
 */
export const COMBINE_ALONE = 1e-9;
/** What a combination of gradients may fall short of the best one, whose Gram matrix has a trace of 1. */
export const COMBINE_OPTIMALITY = 1e-8;
/** Results by a Gram matrix that is off by 1e-6, relative to their length, where gradients are well apart. */
export const COMBINE_INEXACT = 1e-3;
/** The same of an equation whose solution is restrained for the sake of gradients that cancel. */
export const COMBINE_RESTRAINED = 1e-6;
/** The same where gradients are multiples of each other: what keeps their matrix invertible is felt. */
export const COMBINE_DEPENDENT = 1e-6;

/**
 * The same where famo weighs losses, of what its factors are made of: they follow the difference of two
 * logarithms of one loss, 1e-3 or less, of which float32 leaves few digits; Adam's first moment is near 0.
 * Measured: 2.1e-4 of that moment, 2.8e-5 of the logits. In the float64 interpreter a step is the same.
 */
export const RANKS_FACTORS = 1e-3;

/** The same, of all other state: it follows the factors. Measured: 7.3e-6, of a second moment of Adam's. */
export const RANKS_FACTORED = 2e-5;
