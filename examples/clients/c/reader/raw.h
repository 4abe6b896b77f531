// A decoded image on its way through the reader, and the steps of the way. Only the reader's files include
// this.
#pragma once
#include "reader.h"

// The pixels of an image: 1 (grey), 2 (with alpha), 3 (RGB), 4 (RGB and alpha, or CMYK) channels.
struct raw {
  uint32_t width, height, channels;
  // Of a channel: 1, or 2 in the machine's byte order.
  uint32_t bytes;
  bool is_cmyk;
  // malloc'ed; width x height x channels x bytes.
  void *data;
  // EXIF's orientation, 1 to 8.
  int orientation;
  // The embedded ICC profile, malloc'ed; NULL where there is none.
  uint8_t *profile;
  size_t profile_length;
};

void raw_free(struct raw *raw);

// How many pixels an image may have before anything of it is decoded.
#define MTTC_MAX_PIXELS (UINT32_C(1) << 28)

// Refuses sizes over the limit (E_IMG_LIMIT) or under the least (E_IMG_SIZE). `turned`: the sides change
// places.
bool raw_size_ok(uint32_t width, uint32_t height, bool turned, const struct mttc_rules *rules,
                 struct mttc_fault *fault);

// Allocates data for the size; E_IMG_LIMIT where there is no memory for it.
bool raw_allocate(struct raw *raw, struct mttc_fault *fault);

// Whether the bytes begin as the format, and the decoders. They fill `raw`, which the caller frees in any
// case.
bool is_jpeg(const uint8_t *bytes, size_t length);
bool is_png(const uint8_t *bytes, size_t length);
bool is_webp(const uint8_t *bytes, size_t length);
bool decode_jpeg(const uint8_t *bytes, size_t length, const struct mttc_rules *rules, struct raw *raw,
                 struct mttc_fault *fault);
bool decode_png(const uint8_t *bytes, size_t length, const struct mttc_rules *rules, struct raw *raw,
                struct mttc_fault *fault);
bool decode_webp(const uint8_t *bytes, size_t length, const struct mttc_rules *rules, struct raw *raw,
                 struct mttc_fault *fault);

// The orientation that an EXIF block (TIFF structure, "Exif\0\0" before it or not) says; 1 where it says
// none.
int exif_orientation(const uint8_t *bytes, size_t length);

// Turns the pixels upright; `orientation` is 1 afterwards.
bool raw_orient(struct raw *raw, struct mttc_fault *fault);

// Colours of the embedded profile become sRGB; without one, or with one that cannot be of this image, they
// stay, and CMYK becomes what the rules' grid says. E_IMG_FORMAT: CMYK without profile and grid.
bool raw_to_srgb(struct raw *raw, const struct mttc_rules *rules, struct mttc_fault *fault);

// CMYK becomes RGB, linear between the colours of a grid (MTTC_CMYK_BYTES).
bool raw_from_inks(struct raw *raw, const uint8_t *grid, struct mttc_fault *fault);

// Lays transparent pixels onto white; the alpha channel goes.
bool raw_flatten(struct raw *raw, struct mttc_fault *fault);

// Colours become grey by the luminance of linear light, of 8 bits.
bool raw_to_grey(struct raw *raw, struct mttc_fault *fault);

// Of 16 bits the high byte is left.
bool raw_to_bytes(struct raw *raw, struct mttc_fault *fault);

// Resizes to width and height as training does: 16 bits in 16 bits.
bool raw_resize(struct raw *raw, uint32_t width, uint32_t height, struct mttc_fault *fault);
