// What a file that `mttc export` wrote says of itself: size and reading of its images, tasks, class names. A
// model may come from anybody, so that nothing of it is believed before it is checked here.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "reader/reader.h"

enum task_kind { KIND_CLASSES, KIND_TAGS, KIND_NUMBER };

struct task {
  const char *name;
  // Name of the output, float32 [1, count].
  const char *output;
  enum task_kind kind;
  // How many numbers the task answers with.
  size_t count;
  // Of its classes or tags; NULL for numbers.
  const char **names;
  // The probability from which on each tag is answered; NULL: a half.
  double *thresholds;
  // Round each number the interval that holds the truth nine times of ten; NULL where none was fitted.
  double *radius;
  // The probability below which a class is better left open; 0 where the model always answers.
  double unsure_below;
};

struct metadata {
  struct task *tasks;
  size_t task_count;
  // Of the model's images, uint8 [1, height, width, channels].
  uint32_t height, width, channels;
  // Whether colours become grey.
  bool grey;
  // Whether the graph takes images of every size, and resizes itself.
  bool any_size;
  // What CMYK without a profile becomes (mttc_rules), where the file says it.
  bool has_cmyk;
  uint8_t cmyk[MTTC_CMYK_BYTES];
  // The tree that the texts above lie in.
  struct cJSON *json;
};

// Key of the model's metadata_props.
#define METADATA_KEY "mttc"

// Reads the JSON text. E_MODEL_META: it is not what a whole model says; E_IMG_FORMAT: pixels that this client
// does not read (16 bits, other than 1 or 3 channels). Free with metadata_free in any case.
bool metadata_read(const char *text, struct metadata *metadata, struct mttc_fault *fault);

void metadata_free(struct metadata *metadata);

// "classes", "tags" or "number".
const char *kind_name(enum task_kind kind);
