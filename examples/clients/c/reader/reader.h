// Image files -> the numbers that a model of mttc takes, as training read its images (docs/predict.md, "How
// images are read"): JPEG by libjpeg-turbo, PNG by libpng, WebP by libwebp, colours by Little CMS.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "fault.h"

#ifdef __cplusplus
extern "C" {
#endif

// What a model wants of an image: the facts of `preprocessing` in its metadata.
struct mttc_rules {
  // Size of the model's image.
  uint32_t width, height;
  // Whether the image is brought to that size; else it stays as large as it is, and the graph resizes.
  bool resize;
  // Of the model's image; 1 or 3. A grey one of 3 has its channel three times.
  uint32_t channels;
  // Whether colours become grey.
  bool grey;
  // sRGB of CMYK without a profile, at 5 steps of each ink, [C, M, Y, K, RGB], MTTC_CMYK_BYTES long
  // (mttc_cmyk_grid).
  // NULL: such an image is refused.
  const uint8_t *cmyk;
};

#define MTTC_CMYK_BYTES (5 * 5 * 5 * 5 * 3)

// Pixels of 8 bits, [height, width, channels], row-major.
struct mttc_image {
  uint32_t width, height, channels;
  uint8_t *data;
};

// Decodes the grid that a model's metadata holds as `reading.cmyk`, in base64; false where the text is none.
bool mttc_cmyk_grid(const char *text, uint8_t grid[MTTC_CMYK_BYTES]);

// Decodes `length` bytes of an image file. On success the caller owns `image->data` (mttc_image_free).
// E_IMG_FORMAT (no format that is read here), E_IMG_LIMIT (over 2^28 pixels), E_IMG_SIZE (a side under 8
// pixels and under the model's), E_IMG_TRUNCATED (damaged or cut short).
bool mttc_read_image(const uint8_t *bytes, size_t length, const struct mttc_rules *rules,
                     struct mttc_image *image, struct mttc_fault *fault);

// The same of a file, of at most 64 MiB. Also E_FILE, E_PATH_TYPE (no regular file; links are not followed).
bool mttc_read_image_file(const char *path, const struct mttc_rules *rules, struct mttc_image *image,
                          struct mttc_fault *fault);

void mttc_image_free(struct mttc_image *image);

#ifdef __cplusplus
}
#endif
