// The augmentation operations as the spec knows them: names, order, what their number means, its range and
// default. Names, order and defaults are patchwork's (jg10545/patchwork, patchwork/_augment.py). What they
// compute stands in compiler/augment/, one object for each of these keys.

/** What is said of one operation in a spec. `true` stands for `normal`; a flag takes nothing else. */
export interface AugmentKey {
  /** A flag has no number; a chance is that of an image to be changed, an amount is how much. */
  readonly kind: "flag" | "chance" | "amount";
  /** Legal numbers. */
  readonly least: number;
  readonly most: number;
  /** Patchwork's own default of the number. */
  readonly normal: number;
  /** What the number is. */
  readonly doc: string;
}

function flag(doc: string): AugmentKey {
  return { kind: "flag", least: 1, most: 1, normal: 1, doc };
}

function chance(normal: number, doc: string): AugmentKey {
  return { kind: "chance", least: 0, most: 1, normal, doc: `chance of ${doc}` };
}

function amount(least: number, most: number, normal: number, doc: string): AugmentKey {
  return { kind: "amount", least, most, normal, doc };
}

/** All operations in the order in which they are applied, whatever order the spec has. */
export const AUGMENT_KEYS = {
  flip_left_right: flag("half of the images are mirrored"),
  flip_up_down: flag("half of the images are turned upside down"),
  rot90: flag("turned by 0, 90, 180 or 270 degrees; square images only"),
  shear: amount(0, 4, 0.3, "largest shear along either axis, in pixels per pixel"),
  zoom_scale: amount(0.01, 1, 0.1, "least share of the area that a crop keeps"),
  center_zoom_scale: amount(0, 1, 0.1, "least share of each side that a crop about the centre keeps"),
  solarize: chance(0.1, "inverting all pixels above a drawn threshold"),
  jitter: amount(0, 1.25, 1, "strength: brightness, contrast, saturation and hue in drawn order"),
  brightness_delta: amount(0, 10, 0.2, "largest change of the factor on all pixels"),
  contrast_delta: amount(0, 1, 0.4, "largest change of the factor about each channel's mean"),
  saturation_delta: amount(0, 1, 0.5, "largest change of the factor on the saturation"),
  hue_delta: amount(0, 0.5, 0.1, "largest shift of the hue, in turns"),
  gaussian_blur: chance(0.25, "a blur with a sigma of 0.1 to 2 pixels"),
  gaussian_noise: chance(0.25, "noise of standard deviation 0.1"),
  autocontrast: chance(0.1, "stretching the pixels above the mean to the full range"),
  drop_color: chance(0.25, "the mean of the channels in place of each"),
  sobel_prob: chance(0.1, "edges in place of the image"),
  jpeg_degrade: chance(0.25, "a pass through JPEG of quality 5, or, by another draw, 3"),
  mask: chance(0.25, "a grey rectangle over a part of the image"),
  pixel_mask: chance(0.1, "blackening 70 % of the pixels"),
} as const satisfies Readonly<Record<string, AugmentKey>>;

/** Name of an operation. */
export type AugmentName = keyof typeof AUGMENT_KEYS;

/** The names in their order. */
export const AUGMENT_NAMES = Object.keys(AUGMENT_KEYS) as readonly AugmentName[];

/** The operations of a spec that are on, each with its number; a flag's is 1. In the order of the names. */
export type AugmentSettings = Readonly<Partial<Record<AugmentName, number>>>;

/** The operations as a resolved spec lists them: a number each, or true for a flag; false for none. */
export type ResolvedAugment = false | Readonly<Partial<Record<AugmentName, number | true>>>;

/** The operations of a resolved spec; undefined where there are none. */
export function augmentSettings(augment: ResolvedAugment): AugmentSettings | undefined {
  if (augment === false) return undefined;
  return Object.fromEntries(Object.entries(augment).map(([name, value]) => [name, Number(value)]));
}

/**
 * Numbers for every operation that is on, in the order of the names: `true` becomes the usual number, and
 * what is false or null is left out. False if nothing is on.
 */
export function resolveAugment(
  given: boolean | Readonly<Partial<Record<AugmentName, number | boolean | null | undefined>>>,
): ResolvedAugment {
  if (given === false) return false;
  const listed = given === true ? AUGMENT_DEFAULTS : given;
  const entries = AUGMENT_NAMES.flatMap((name) => {
    const value = listed[name];
    if (value === undefined || value === null || value === false) return [];
    const { kind, normal } = AUGMENT_KEYS[name];
    return [[name, kind === "flag" ? true : value === true ? normal : value] as const];
  });
  return entries.length === 0 ? false : Object.fromEntries(entries);
}

/** What `augment: true` stands for. */
export const AUGMENT_DEFAULTS: AugmentSettings = {
  flip_left_right: 1,
  flip_up_down: 1,
  rot90: 1,
  zoom_scale: 0.2,
  brightness_delta: 0.2,
  contrast_delta: 0.1,
  saturation_delta: 0.1,
  hue_delta: 0.05,
  gaussian_blur: 0.2,
  gaussian_noise: 0.2,
  drop_color: 0.2,
  sobel_prob: 0.1,
  mask: 0.2,
};
