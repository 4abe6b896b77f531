// The orientation in an EXIF block, which is a small TIFF file (CIPA DC-008, 4.6.2 and 4.6.4 A). Every offset
// is checked against the length: the block is a stranger's.
#include <string.h>

#include "raw.h"

#define TAG_ORIENTATION 0x112
#define TYPE_SHORT 3
#define ENTRY_BYTES 12

static uint32_t number(const uint8_t *at, int bytes, bool is_little) {
  uint32_t value = 0;
  for (int i = 0; i < bytes; i++) value |= (uint32_t)at[i] << 8 * (is_little ? i : bytes - 1 - i);
  return value;
}

int exif_orientation(const uint8_t *bytes, size_t length) {
  if (length >= 6 && memcmp(bytes, "Exif\0\0", 6) == 0) {
    bytes += 6;
    length -= 6;
  }
  if (length < 8) return 1;
  const bool is_little = memcmp(bytes, "II*\0", 4) == 0;
  if (!is_little && memcmp(bytes, "MM\0*", 4) != 0) return 1;
  const uint32_t first = number(bytes + 4, 4, is_little);
  if (first > length - 2) return 1;
  const uint32_t count = number(bytes + first, 2, is_little);
  size_t at = (size_t)first + 2;
  for (uint32_t i = 0; i < count && at + ENTRY_BYTES <= length; i++, at += ENTRY_BYTES) {
    if (number(bytes + at, 2, is_little) != TAG_ORIENTATION) continue;
    if (number(bytes + at + 2, 2, is_little) != TYPE_SHORT) return 1;
    const uint32_t value = number(bytes + at + 8, 2, is_little);
    return value >= 1 && value <= 8 ? (int)value : 1;
  }
  return 1;
}
