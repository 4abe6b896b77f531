// The resize of training, number by number: where an axis shrinks, a box by a whole factor and Lanczos 3 for
// the rest; where one grows, Catmull-Rom along both. Integers, so that every machine has the same pixels.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "raw.h"

// Weights are 4096ths.
#define WEIGHT_BITS 12
#define WEIGHT_ONE (1 << WEIGHT_BITS)
#define HALF (WEIGHT_ONE / 2)
#define SUPPORT 3
#define MAX_TAPS 32
// Rows are placed anew so often, since they are made in strips of this height.
#define STRIP_ROWS 10

static const double PI = 3.14159265358979323846;

// An array [outer, n, inner] of numbers of 1 or 2 bytes whose middle axis is resized: rows are
// [1, height, width x channels], columns [height, width, channels].
struct axis {
  size_t outer, n, inner;
  uint32_t bytes;
};

static inline uint32_t get(const void *data, size_t at, uint32_t bytes) {
  return bytes == 1 ? ((const uint8_t *)data)[at] : ((const uint16_t *)data)[at];
}

static inline void put(void *data, size_t at, uint32_t bytes, uint32_t value) {
  if (bytes == 1)
    ((uint8_t *)data)[at] = (uint8_t)value;
  else
    ((uint16_t *)data)[at] = (uint16_t)value;
}

static int64_t largest(uint32_t bytes) {
  return bytes == 1 ? 255 : 65535;
}

static double sinc(double x) {
  return x == 0 ? 1 : sin(PI * x) / (PI * x);
}

static double lanczos(double x) {
  return fabs(x) <= SUPPORT ? sinc(x) * sinc(x / SUPPORT) : 0;
}

static int64_t clamp(int64_t value, int64_t most) {
  return value < 0 ? 0 : value > most ? most : value;
}

// Means of `factor` numbers along the axis; the last number fills up what lacks.
static void *box(const void *from, struct axis axis, size_t factor, size_t size) {
  void *to = malloc(axis.outer * size * axis.inner * axis.bytes);
  // The reciprocal is rounded down for 8 bits and up for 16.
  const int bits = axis.bytes == 1 ? 24 : 32;
  const uint64_t share = ((UINT64_C(1) << bits) + (axis.bytes == 1 ? 0 : factor - 1)) / factor;
  for (size_t outer = 0; to != NULL && outer < axis.outer; outer++)
    for (size_t j = 0; j < size; j++)
      for (size_t x = 0; x < axis.inner; x++) {
        uint64_t sum = factor / 2;
        for (size_t i = j * factor; i < (j + 1) * factor; i++)
          sum += get(from, (outer * axis.n + (i < axis.n ? i : axis.n - 1)) * axis.inner + x, axis.bytes);
        put(to, (outer * size + j) * axis.inner + x, axis.bytes, (uint32_t)(sum * share >> bits));
      }
  return to;
}

// Integer weights of `taps` numbers round a place in 128ths, `scale` apart.
static void lanczos_weights(int *weights, int taps, int64_t place, double scale) {
  const double centre = (double)(((place & 127) + 1) >> 1) / 64 + taps / 2 - 0.5;
  double exact[MAX_TAPS], sum = 0;
  for (int i = 0; i < taps; i++) sum += exact[i] = lanczos((i - centre) * (1 / scale));
  for (int i = 0; i < taps; i++) weights[i] = (int)(WEIGHT_ONE * (exact[i] / sum));
}

// Reduces the axis to `size` numbers; `run`: after so many their places are computed anew. NULL: no memory.
static void *reduce(const void *from, struct axis axis, size_t size, size_t run) {
  const size_t factor = axis.n / size / 2 > 1 ? axis.n / size / 2 : 1;
  const double whole = (double)axis.n, target = (double)size, ratio = 1 / (1 / (whole / target));
  const double scale = ratio / (double)factor, excess = (target * ratio - whole) / (double)factor;
  const size_t left = (axis.n + factor - 1) / factor;
  void *boxed = NULL;
  if (factor > 1) {
    boxed = box(from, axis, factor, left);
    if (boxed == NULL || axis.n == factor * size) return boxed;
    from = boxed;
  }
  void *to = malloc(axis.outer * size * axis.inner * axis.bytes);
  const int64_t most = largest(axis.bytes);
  const int half = (int)rint(SUPPORT * scale), taps = 2 * half + 1;
  double x = 0;
  for (size_t j = 0; to != NULL && j < size; j++) {
    x = j % run == 0 ? ((double)j + 0.5) * scale - 0.5 - ((1 + excess) / 2 - 1) : x + scale;
    const int64_t place = (int64_t)(x * 128), first = (place >> 7) - half;
    int weights[MAX_TAPS];
    lanczos_weights(weights, taps, place, scale);
    for (size_t outer = 0; outer < axis.outer; outer++)
      for (size_t c = 0; c < axis.inner; c++) {
        int sum = HALF;
        for (int i = 0; i < taps; i++) {
          const size_t at = (size_t)clamp(first + i, (int64_t)left - 1);
          sum += weights[i] * (int)get(from, (outer * left + at) * axis.inner + c, axis.bytes);
        }
        const uint32_t value = (uint32_t)clamp(sum >> WEIGHT_BITS, most);
        put(to, (outer * size + j) * axis.inner + c, axis.bytes, value);
      }
  }
  free(boxed);
  return to;
}

// Enlarges the axis (or only moves it, where it has its size). NULL: no memory.
static double *enlarge(const double *from, struct axis axis, size_t size) {
  double *to = malloc(axis.outer * size * axis.inner * sizeof *to);
  for (size_t j = 0; to != NULL && j < size; j++) {
    // Shifts of negative numbers go down here, as they do with every compiler in use.
    const int64_t place = (int64_t)(j * axis.n * 128 / size) - 64, first = (place >> 7) - 1;
    const double x = (double)(((place & 127) + 1) >> 1) / 64;
    double weights[4] = {-x * (1 - x) * (1 - x) / 2, (1 - x) * (1 + x - 1.5 * x * x),
                         x * (0.5 + 2 * x - 1.5 * x * x), -x * x * (1 - x) / 2};
    for (int i = 0; axis.bytes == 1 && i < 4; i++) weights[i] = trunc(WEIGHT_ONE * weights[i]);
    for (size_t outer = 0; outer < axis.outer; outer++)
      for (size_t c = 0; c < axis.inner; c++) {
        double sum = 0;
        for (int i = 0; i < 4; i++) {
          const size_t at = (size_t)clamp(first + i, (int64_t)axis.n - 1);
          sum += weights[i] * from[(outer * axis.n + at) * axis.inner + c];
        }
        // Whole numbers of this size are exact.
        to[(outer * size + j) * axis.inner + c] = axis.bytes == 1 ? floor((sum + HALF) / WEIGHT_ONE) : sum;
      }
  }
  return to;
}

static void *enlarge_both(const struct raw *raw, uint32_t width, uint32_t height) {
  const size_t count = (size_t)raw->width * raw->height * raw->channels;
  const size_t size = (size_t)width * height * raw->channels;
  double *numbers = malloc(count * sizeof *numbers), *wide = NULL, *whole = NULL;
  void *to = NULL;
  if (numbers != NULL) {
    for (size_t i = 0; i < count; i++) numbers[i] = get(raw->data, i, raw->bytes);
    wide = enlarge(numbers, (struct axis){raw->height, raw->width, raw->channels, raw->bytes}, width);
  }
  free(numbers);
  if (wide != NULL)
    whole = enlarge(wide, (struct axis){1, raw->height, (size_t)width * raw->channels, raw->bytes}, height);
  free(wide);
  if (whole != NULL) to = malloc(size * raw->bytes);
  for (size_t i = 0; to != NULL && i < size; i++)
    put(to, i, raw->bytes, (uint32_t)fmin(fmax(whole[i], 0), (double)largest(raw->bytes)));
  free(whole);
  return to;
}

// Takes over `data`; false where there was no memory for it.
static bool replace(struct raw *raw, void *data, uint32_t width, uint32_t height) {
  if (data == NULL) return false;
  free(raw->data);
  raw->data = data;
  raw->width = width;
  raw->height = height;
  return true;
}

bool raw_resize(struct raw *raw, uint32_t width, uint32_t height, struct mttc_fault *fault) {
  const bool grows = width > raw->width || height > raw->height;
  bool has_room = true;
  if (height < raw->height) {
    const struct axis rows = {1, raw->height, (size_t)raw->width * raw->channels, raw->bytes};
    has_room = replace(raw, reduce(raw->data, rows, height, STRIP_ROWS), raw->width, height);
  }
  if (has_room && width < raw->width) {
    const struct axis columns = {raw->height, raw->width, raw->channels, raw->bytes};
    has_room = replace(raw, reduce(raw->data, columns, width, width), width, raw->height);
  }
  if (has_room && grows) has_room = replace(raw, enlarge_both(raw, width, height), width, height);
  return has_room || mttc_refuse(fault, "E_IMG_LIMIT", "no memory for the resize to %ux%u", width, height);
}
