#include "reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "raw.h"

// Training refuses smaller images, unless the model is as small.
#define LEAST_SIDE 8
#define MAX_FILE_BYTES ((off_t)64 << 20)

void mttc_image_free(struct mttc_image *image) {
  free(image->data);
  image->data = NULL;
}

void raw_free(struct raw *raw) {
  free(raw->data);
  free(raw->profile);
  raw->data = NULL;
  raw->profile = NULL;
}

static uint32_t least(uint32_t side) {
  return side < LEAST_SIDE ? side : LEAST_SIDE;
}

bool raw_size_ok(uint32_t width, uint32_t height, bool turned, const struct mttc_rules *rules,
                 struct mttc_fault *fault) {
  if ((uint64_t)width * height > MTTC_MAX_PIXELS)
    return mttc_refuse(fault, "E_IMG_LIMIT", "the image is %ux%u, the limit is %u pixels", width, height,
                       MTTC_MAX_PIXELS);
  const uint32_t upright_width = turned ? height : width, upright_height = turned ? width : height;
  if (upright_width >= least(rules->width) && upright_height >= least(rules->height)) return true;
  return mttc_refuse(fault, "E_IMG_SIZE", "the image is %ux%u, the least is %dx%d", upright_width,
                     upright_height, LEAST_SIDE, LEAST_SIDE);
}

bool raw_allocate(struct raw *raw, struct mttc_fault *fault) {
  // At most 2^28 pixels of 8 bytes.
  raw->data = malloc((size_t)raw->width * raw->height * raw->channels * raw->bytes);
  if (raw->data != NULL) return true;
  return mttc_refuse(fault, "E_IMG_LIMIT", "no memory for %ux%u pixels", raw->width, raw->height);
}

static const char *foreign_format(const uint8_t *bytes, size_t length) {
  const char *head = (const char *)bytes;
  if (length >= 4 && (memcmp(head, "II*\0", 4) == 0 || memcmp(head, "MM\0*", 4) == 0)) return "TIFF";
  if (length >= 4 && memcmp(head, "GIF8", 4) == 0) return "GIF";
  if (length >= 12 && memcmp(head + 4, "ftypavi", 7) == 0) return "AVIF";
  if (length >= 2 && memcmp(head, "BM", 2) == 0) return "BMP";
  return NULL;
}

static bool decode(const uint8_t *bytes, size_t length, const struct mttc_rules *rules, struct raw *raw,
                   struct mttc_fault *fault) {
  if (is_jpeg(bytes, length)) return decode_jpeg(bytes, length, rules, raw, fault);
  if (is_png(bytes, length)) return decode_png(bytes, length, rules, raw, fault);
  if (is_webp(bytes, length)) return decode_webp(bytes, length, rules, raw, fault);
  const char *known = foreign_format(bytes, length);
  return mttc_refuse(fault, "E_IMG_FORMAT", "expected a JPEG, PNG or WebP image%s%s",
                     known ? ", found a " : "", known ? known : "");
}

static bool to_channels(struct raw *raw, uint32_t channels, struct mttc_fault *fault) {
  if (raw->channels == channels) return true;
  if (raw->channels != 1 || channels != 3)
    return mttc_refuse(fault, "E_IMG_CHANNELS", "the image has %u channels, the model %u", raw->channels,
                       channels);
  const uint8_t *grey = raw->data;
  struct raw three = {.width = raw->width, .height = raw->height, .channels = 3, .bytes = 1};
  if (!raw_allocate(&three, fault)) return false;
  uint8_t *to = three.data;
  const size_t count = (size_t)raw->width * raw->height;
  for (size_t i = 0; i < count; i++) memset(to + 3 * i, grey[i], 3);
  free(raw->data);
  raw->data = three.data;
  raw->channels = 3;
  return true;
}

static bool prepare(struct raw *raw, const struct mttc_rules *rules, struct mttc_fault *fault) {
  if (!raw_to_srgb(raw, rules, fault) || !raw_flatten(raw, fault)) return false;
  if (rules->grey && !raw_to_grey(raw, fault)) return false;
  // Training resizes the image as it is stored, and turns it afterwards.
  const bool is_turned = raw->orientation >= 5;
  const uint32_t width = is_turned ? rules->height : rules->width;
  const uint32_t height = is_turned ? rules->width : rules->height;
  if (rules->resize && !raw_resize(raw, width, height, fault)) return false;
  return raw_orient(raw, fault) && raw_to_bytes(raw, fault) && to_channels(raw, rules->channels, fault);
}

bool mttc_read_image(const uint8_t *bytes, size_t length, const struct mttc_rules *rules,
                     struct mttc_image *image, struct mttc_fault *fault) {
  struct raw raw = {.orientation = 1};
  const bool is_read = decode(bytes, length, rules, &raw, fault) && prepare(&raw, rules, fault);
  if (is_read) {
    *image = (struct mttc_image){raw.width, raw.height, raw.channels, raw.data};
    raw.data = NULL;
  }
  raw_free(&raw);
  return is_read;
}

// The bytes of a regular file; the caller frees them.
static uint8_t *file_bytes(const char *path, size_t *length, struct mttc_fault *fault) {
  uint8_t *bytes = NULL;
  struct stat found;
  // O_NONBLOCK: a pipe without a writer would hang here.
  const int file = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (file < 0 && errno == ELOOP) {
    mttc_refuse(fault, "E_PATH_TYPE", "expected a regular file, found a symbolic link");
  } else if (file < 0 || fstat(file, &found) != 0) {
    mttc_refuse(fault, "E_FILE", "cannot read the image: %s", strerror(errno));
  } else if (!S_ISREG(found.st_mode)) {
    mttc_refuse(fault, "E_PATH_TYPE", "expected a regular file");
  } else if (found.st_size > MAX_FILE_BYTES) {
    mttc_refuse(fault, "E_IMG_LIMIT", "the file has over 64 MiB");
  } else if ((bytes = malloc((size_t)found.st_size + 1)) == NULL) {
    mttc_refuse(fault, "E_IMG_LIMIT", "no memory for the file");
  } else {
    ssize_t part;
    for (*length = 0; (part = read(file, bytes + *length, (size_t)found.st_size - *length)) > 0;)
      *length += (size_t)part;
    if (part < 0) {
      mttc_refuse(fault, "E_FILE", "cannot read the image: %s", strerror(errno));
      free(bytes);
      bytes = NULL;
    }
  }
  if (file >= 0) close(file);
  return bytes;
}

bool mttc_read_image_file(const char *path, const struct mttc_rules *rules, struct mttc_image *image,
                          struct mttc_fault *fault) {
  size_t length = 0;
  uint8_t *bytes = file_bytes(path, &length, fault);
  if (bytes == NULL) return false;
  const bool is_read = mttc_read_image(bytes, length, rules, image, fault);
  free(bytes);
  return is_read;
}
