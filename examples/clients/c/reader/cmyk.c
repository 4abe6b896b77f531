// CMYK without a profile: colours between those of a grid that a model's metadata holds.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "raw.h"

#define STEPS 5
#define INKS 4

// Four letters are three bytes; the grid needs no padding.
#define LETTERS (MTTC_CMYK_BYTES / 3 * 4)

bool mttc_cmyk_grid(const char *text, uint8_t grid[MTTC_CMYK_BYTES]) {
  static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (strlen(text) != LETTERS) return false;
  for (size_t i = 0; i < LETTERS / 4; i++) {
    uint32_t bits = 0;
    for (size_t j = 0; j < 4; j++) {
      const char *letter = strchr(ALPHABET, text[4 * i + j]);
      if (letter == NULL) return false;
      bits = bits << 6 | (uint32_t)(letter - ALPHABET);
    }
    for (size_t j = 0; j < 3; j++) grid[3 * i + j] = (uint8_t)(bits >> 8 * (2 - j));
  }
  return true;
}

// The colour of four inks: the mean of the 16 corners of their cell of the grid, by nearness.
static void colour_of(const uint8_t *inks, const uint8_t *grid, uint8_t *rgb) {
  size_t low[INKS];
  double part[INKS], sums[3] = {0};
  for (int i = 0; i < INKS; i++) {
    low[i] = inks[i] / 64 < STEPS - 2 ? inks[i] / 64 : STEPS - 2;
    part[i] = inks[i] / 63.75 - (double)low[i];
  }
  for (unsigned corner = 0; corner < 1 << INKS; corner++) {
    double weight = 1;
    size_t at = 0;
    for (int i = 0; i < INKS; i++) {
      const bool is_high = corner >> i & 1;
      weight *= is_high ? part[i] : 1 - part[i];
      at = at * STEPS + low[i] + is_high;
    }
    for (int c = 0; c < 3; c++) sums[c] += weight * grid[3 * at + (size_t)c];
  }
  // A part may be a little below 0: an ink of 64 lies before its step.
  for (int c = 0; c < 3; c++) rgb[c] = (uint8_t)rint(fmin(fmax(sums[c], 0), 255));
}

bool raw_from_inks(struct raw *raw, const uint8_t *grid, struct mttc_fault *fault) {
  struct raw rgb = *raw;
  rgb.is_cmyk = false;
  rgb.channels = 3;
  if (!raw_allocate(&rgb, fault)) return false;
  const size_t count = (size_t)raw->width * raw->height;
  for (size_t i = 0; i < count; i++)
    colour_of((const uint8_t *)raw->data + INKS * i, grid, (uint8_t *)rgb.data + 3 * i);
  free(raw->data);
  *raw = rgb;
  return true;
}
