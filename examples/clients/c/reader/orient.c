// Turns and mirrors pixels so that they are upright: EXIF's orientations 2 to 8.
#include <stdlib.h>
#include <string.h>

#include "raw.h"

bool raw_orient(struct raw *raw, struct mttc_fault *fault) {
  const int orientation = raw->orientation;
  if (orientation == 1) return true;
  const bool is_turned = orientation >= 5;
  // Where the upright image's x and y count the stored one's from its end.
  const bool flips_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool flips_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  struct raw upright = *raw;
  upright.width = is_turned ? raw->height : raw->width;
  upright.height = is_turned ? raw->width : raw->height;
  if (!raw_allocate(&upright, fault)) return false;
  const size_t pixel = (size_t)raw->channels * raw->bytes;
  uint8_t *to = upright.data;
  for (uint32_t y = 0; y < upright.height; y++)
    for (uint32_t x = 0; x < upright.width; x++, to += pixel) {
      const uint32_t across = is_turned ? y : x, down = is_turned ? x : y;
      const size_t from_x = flips_x ? raw->width - 1 - across : across;
      const size_t from_y = flips_y ? raw->height - 1 - down : down;
      memcpy(to, (const uint8_t *)raw->data + (from_y * raw->width + from_x) * pixel, pixel);
    }
  free(raw->data);
  upright.orientation = 1;
  *raw = upright;
  return true;
}
