// JPEG by libjpeg-turbo. Any warning of the library is damage, as in training.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "raw.h"

#define MARKER_EXIF (JPEG_APP0 + 1)
#define MARKER_PROFILE (JPEG_APP0 + 2)
// Longest marker that is kept.
#define MARKER_BYTES 0xffff
// "ICC_PROFILE\0", then the part's number from 1 and how many there are.
#define PROFILE_HEAD 14
// More scans than this are an attack: each costs a pass over the whole image.
#define MAX_SCANS 100

struct decoder {
  struct jpeg_decompress_struct jpeg;
  struct jpeg_error_mgr errors;
  struct jpeg_progress_mgr progress;
  jmp_buf failed;
  char message[JMSG_LENGTH_MAX];
};

static void fail(j_common_ptr common) {
  struct decoder *decoder = common->client_data;
  decoder->errors.format_message(common, decoder->message);
  longjmp(decoder->failed, 1);
}

// Levels below 0 are warnings, others traces.
static void note(j_common_ptr common, int level) {
  if (level < 0) fail(common);
}

static void watch_scans(j_common_ptr common) {
  struct decoder *decoder = common->client_data;
  if (decoder->jpeg.input_scan_number <= MAX_SCANS) return;
  snprintf(decoder->message, sizeof decoder->message, "over %d scans", MAX_SCANS);
  longjmp(decoder->failed, 1);
}

bool is_jpeg(const uint8_t *bytes, size_t length) {
  return length >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0;
}

// The profile of the APP2 markers, by the numbers of its parts. One that lacks a part is as none.
static bool join_profile(const jpeg_saved_marker_ptr markers, struct raw *raw, struct mttc_fault *fault) {
  const jpeg_saved_marker_ptr *part;
  jpeg_saved_marker_ptr parts[256] = {NULL};
  for (jpeg_saved_marker_ptr marker = markers; marker != NULL; marker = marker->next) {
    const bool is_part = marker->marker == MARKER_PROFILE && marker->data_length > PROFILE_HEAD &&
                         memcmp(marker->data, "ICC_PROFILE", 12) == 0;
    if (is_part && marker->data[12] > 0) parts[marker->data[12]] = marker;
  }
  size_t length = 0;
  for (part = parts + 1; part < parts + 256 && *part != NULL; part++)
    length += (*part)->data_length - PROFILE_HEAD;
  if (length == 0) return true;
  raw->profile = malloc(length);
  if (raw->profile == NULL) return mttc_refuse(fault, "E_IMG_LIMIT", "no memory for the profile");
  for (part = parts + 1; part < parts + 256 && *part != NULL; part++) {
    memcpy(raw->profile + raw->profile_length, (*part)->data + PROFILE_HEAD,
           (*part)->data_length - PROFILE_HEAD);
    raw->profile_length += (*part)->data_length - PROFILE_HEAD;
  }
  return true;
}

static int marked_orientation(const jpeg_saved_marker_ptr markers) {
  for (jpeg_saved_marker_ptr marker = markers; marker != NULL; marker = marker->next)
    if (marker->marker == MARKER_EXIF && marker->data_length > 6 && memcmp(marker->data, "Exif\0", 5) == 0)
      return exif_orientation(marker->data, marker->data_length);
  return 1;
}

// By how much the decoder itself reduces: a half, a quarter or an eighth that is larger still than the
// target.
static unsigned shrink_of(uint32_t width, uint32_t height, const struct mttc_rules *rules, bool turned) {
  if (!rules->resize) return 1;
  const double across = (double)width / (turned ? rules->height : rules->width);
  const double down = (double)height / (turned ? rules->width : rules->height);
  const double shrink = across < down ? across : down;
  unsigned factor = shrink >= 8 ? 8 : shrink >= 4 ? 4 : shrink >= 2 ? 2 : 1;
  // The decoder rounds sizes up: at the very factor the rest would be no reduction any more.
  if (factor > 1 && (unsigned)shrink == factor) factor /= 2;
  return factor;
}

static bool read_header(struct decoder *decoder, const struct mttc_rules *rules, struct raw *raw,
                        struct mttc_fault *fault) {
  struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
  jpeg_read_header(jpeg, TRUE);
  raw->orientation = marked_orientation(jpeg->marker_list);
  const bool is_turned = raw->orientation >= 5;
  if (!raw_size_ok(jpeg->image_width, jpeg->image_height, is_turned, rules, fault)) return false;
  if (!join_profile(jpeg->marker_list, raw, fault)) return false;
  jpeg->scale_num = 1;
  jpeg->scale_denom = shrink_of(jpeg->image_width, jpeg->image_height, rules, is_turned);
  return true;
}

// Keeps the upper left: the decoder rounds reduced sizes up, training down.
static void cut(struct raw *raw, uint32_t width, uint32_t height) {
  const size_t row = (size_t)raw->width * raw->channels, cut_row = (size_t)width * raw->channels;
  uint8_t *data = raw->data;
  for (size_t y = 1; cut_row < row && y < height; y++) memmove(data + y * cut_row, data + y * row, cut_row);
  raw->width = width;
  raw->height = height;
}

static bool read_pixels(struct decoder *decoder, struct raw *raw, struct mttc_fault *fault) {
  struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
  jpeg_start_decompress(jpeg);
  raw->width = jpeg->output_width;
  raw->height = jpeg->output_height;
  raw->channels = (uint32_t)jpeg->output_components;
  raw->bytes = 1;
  raw->is_cmyk = jpeg->out_color_space == JCS_CMYK;
  if (!raw_allocate(raw, fault)) return false;
  const size_t row = (size_t)raw->width * raw->channels;
  while (jpeg->output_scanline < jpeg->output_height) {
    JSAMPROW to = (uint8_t *)raw->data + jpeg->output_scanline * row;
    jpeg_read_scanlines(jpeg, &to, 1);
  }
  jpeg_finish_decompress(jpeg);
  cut(raw, jpeg->image_width / jpeg->scale_denom, jpeg->image_height / jpeg->scale_denom);
  // CMYK is stored inverted: 255 is no ink.
  uint8_t *inks = raw->data;
  if (raw->is_cmyk)
    for (size_t i = 0; i < (size_t)raw->width * raw->height * 4; i++) inks[i] = 255 - inks[i];
  return true;
}

bool decode_jpeg(const uint8_t *bytes, size_t length, const struct mttc_rules *rules, struct raw *raw,
                 struct mttc_fault *fault) {
  struct decoder decoder = {.message = ""};
  decoder.jpeg.err = jpeg_std_error(&decoder.errors);
  decoder.errors.error_exit = fail;
  decoder.errors.emit_message = note;
  decoder.jpeg.client_data = &decoder;
  // Changed between setjmp and longjmp, so in memory.
  volatile bool has_header = false, is_read = false;
  if (setjmp(decoder.failed) == 0) {
    jpeg_create_decompress(&decoder.jpeg);
    decoder.progress.progress_monitor = watch_scans;
    decoder.jpeg.progress = &decoder.progress;
    jpeg_mem_src(&decoder.jpeg, bytes, (unsigned long)length);
    jpeg_save_markers(&decoder.jpeg, MARKER_EXIF, MARKER_BYTES);
    jpeg_save_markers(&decoder.jpeg, MARKER_PROFILE, MARKER_BYTES);
    if (read_header(&decoder, rules, raw, fault)) {
      has_header = true;
      is_read = read_pixels(&decoder, raw, fault);
    }
  } else if (has_header) {
    mttc_refuse(fault, "E_IMG_TRUNCATED", "the image is damaged or cut short: %s", decoder.message);
  } else {
    mttc_refuse(fault, "E_IMG_FORMAT", "expected a JPEG, PNG or WebP image: %s", decoder.message);
  }
  jpeg_destroy_decompress(&decoder.jpeg);
  return is_read;
}
