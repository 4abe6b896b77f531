// What stands for "no label" where labels are numbers, in tensors and in memory, by the type of the numbers.

/** Of a class number (int32 in memory, int64 in graphs; every negative number is missing). */
export const MISSING_CLASS = -1;
/** Of a float32: a measured number may be any other. */
export const MISSING_NUMBER = Number.NaN;
/** Of a uint8 that says 0 or 1 of a tag. */
export const MISSING_TAG = 255;
