// PNG by libpng: palettes and clear colours become channels, 16 bits stay. What the file says of gamma is not
// applied, as in training.
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "raw.h"

struct input {
  const uint8_t *bytes;
  size_t length, at;
  char message[128];
};

static void give(png_structp png, png_bytep to, size_t count) {
  struct input *input = png_get_io_ptr(png);
  if (count > input->length - input->at) png_error(png, "end of the file");
  memcpy(to, input->bytes + input->at, count);
  input->at += count;
}

static void fail(png_structp png, png_const_charp message) {
  struct input *input = png_get_error_ptr(png);
  strncpy(input->message, message, sizeof input->message - 1);
  png_longjmp(png, 1);
}

// What is wrong with a chunk beside the pixels costs that chunk alone.
static void ignore(png_structp png, png_const_charp message) {
  (void)png;
  (void)message;
}

bool is_png(const uint8_t *bytes, size_t length) {
  return length >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0;
}

static bool keep_profile(png_structp png, png_infop info, struct raw *raw, struct mttc_fault *fault) {
  png_charp name = NULL;
  png_bytep profile = NULL;
  png_uint_32 length = 0;
  int compression = 0;
  if (png_get_iCCP(png, info, &name, &compression, &profile, &length) == 0 || length == 0) return true;
  raw->profile = malloc(length);
  if (raw->profile == NULL) return mttc_refuse(fault, "E_IMG_LIMIT", "no memory for the profile");
  memcpy(raw->profile, profile, length);
  raw->profile_length = length;
  return true;
}

static bool read_header(png_structp png, png_infop info, const struct mttc_rules *rules, struct raw *raw,
                        struct mttc_fault *fault) {
  png_read_info(png, info);
  png_bytep exif = NULL;
  png_uint_32 exif_length = 0;
  if (png_get_eXIf_1(png, info, &exif_length, &exif) != 0)
    raw->orientation = exif_orientation(exif, exif_length);
  raw->width = png_get_image_width(png, info);
  raw->height = png_get_image_height(png, info);
  if (!raw_size_ok(raw->width, raw->height, raw->orientation >= 5, rules, fault)) return false;
  return keep_profile(png, info, raw, fault);
}

static bool read_pixels(png_structp png, png_infop info, struct raw *raw, struct mttc_fault *fault) {
  const int colours = png_get_color_type(png, info), depth = png_get_bit_depth(png, info);
  if (colours == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
  if (colours == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(png);
  if (png_get_valid(png, info, PNG_INFO_tRNS)) png_set_tRNS_to_alpha(png);
  const uint16_t one = 1;
  const bool is_little = *(const uint8_t *)&one == 1;
  if (depth == 16 && is_little) png_set_swap(png);
  const int passes = png_set_interlace_handling(png);
  png_read_update_info(png, info);
  raw->channels = png_get_channels(png, info);
  raw->bytes = depth == 16 ? 2 : 1;
  const size_t row = (size_t)raw->width * raw->channels * raw->bytes;
  if (png_get_rowbytes(png, info) != row) png_error(png, "rows of another length than their size");
  if (!raw_allocate(raw, fault)) return false;
  for (int pass = 0; pass < passes; pass++)
    for (uint32_t y = 0; y < raw->height; y++) png_read_row(png, (uint8_t *)raw->data + y * row, NULL);
  return true;
}

bool decode_png(const uint8_t *bytes, size_t length, const struct mttc_rules *rules, struct raw *raw,
                struct mttc_fault *fault) {
  struct input input = {.bytes = bytes, .length = length};
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &input, fail, ignore);
  png_infop info = png == NULL ? NULL : png_create_info_struct(png);
  // Changed between setjmp and longjmp, so in memory.
  volatile bool has_header = false, is_read = false;
  if (info == NULL) {
    mttc_refuse(fault, "E_IMG_LIMIT", "no memory for the decoder");
  } else if (setjmp(png_jmpbuf(png)) == 0) {
    png_set_read_fn(png, &input, give);
    // The product is limited, not the sides.
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    if (read_header(png, info, rules, raw, fault)) {
      has_header = true;
      is_read = read_pixels(png, info, raw, fault);
    }
  } else if (has_header) {
    mttc_refuse(fault, "E_IMG_TRUNCATED", "the image is damaged or cut short: %s", input.message);
  } else {
    mttc_refuse(fault, "E_IMG_FORMAT", "expected a JPEG, PNG or WebP image: %s", input.message);
  }
  png_destroy_read_struct(&png, &info, NULL);
  return is_read;
}
