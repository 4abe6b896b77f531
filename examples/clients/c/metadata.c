#include "metadata.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

#define CODE "E_MODEL_META"
#define NEWEST_VERSION 3
#define NEWEST_READING 1
#define MAX_SIDE 65536
#define MAX_CHANNELS 16
// Numbers of an image.
#define MAX_NUMBERS (UINT64_C(1) << 28)
#define MAX_TASKS 1000
#define MAX_CLASSES 1000000
#define MAX_TAGS 10000
#define MAX_VALUES 1000

const char *kind_name(enum task_kind kind) {
  static const char *const NAMES[] = {"classes", "tags", "number"};
  return NAMES[kind];
}

static bool read_kind(const cJSON *entry, const char *where, enum task_kind *kind, struct mttc_fault *fault) {
  const cJSON *value = json_member(entry, "kind");
  *kind = KIND_CLASSES;
  if (value == NULL) return true;
  for (enum task_kind each = KIND_CLASSES; each <= KIND_NUMBER; each++)
    if (cJSON_IsString(value) && strcmp(value->valuestring, kind_name(each)) == 0) {
      *kind = each;
      return true;
    }
  return mttc_refuse(fault, CODE, "%s.kind is \"%.100s\", which is not known", where,
                     cJSON_IsString(value) ? value->valuestring : "no text");
}

// The object under a key, where there is one: NULL without a fault where the key is not there.
static bool read_object(const cJSON *entry, const char *key, const char *where, const cJSON **object,
                        struct mttc_fault *fault) {
  *object = json_member(entry, key);
  if (*object == NULL || cJSON_IsObject(*object)) return true;
  return mttc_refuse(fault, CODE, "%s.%s is no object", where, key);
}

static bool read_classes(const cJSON *entry, const char *where, struct task *task, struct mttc_fault *fault) {
  const cJSON *unsure;
  char place[64];
  snprintf(place, sizeof place, "%s.classes", where);
  if (!json_texts(json_member(entry, "classes"), place, 1, MAX_CLASSES, &task->names, &task->count, fault) ||
      !json_distinct(task->names, task->count, place, fault) ||
      !read_object(entry, "unsure", where, &unsure, fault))
    return false;
  if (unsure == NULL) return true;
  const cJSON *below = json_member(unsure, "below");
  if (!cJSON_IsNumber(below) || !(below->valuedouble >= 0 && below->valuedouble <= 1))
    return mttc_refuse(fault, CODE, "%s.unsure.below is no number from 0 to 1", where);
  task->unsure_below = below->valuedouble;
  return true;
}

static bool read_tags(const cJSON *entry, const char *where, struct task *task, struct mttc_fault *fault) {
  const cJSON *thresholds = json_member(entry, "thresholds");
  char place[64];
  snprintf(place, sizeof place, "%s.tags", where);
  if (!json_texts(json_member(entry, "tags"), place, 1, MAX_TAGS, &task->names, &task->count, fault) ||
      !json_distinct(task->names, task->count, place, fault))
    return false;
  snprintf(place, sizeof place, "%s.thresholds", where);
  return thresholds == NULL || json_numbers(thresholds, place, task->count, 1, &task->thresholds, fault);
}

static bool read_number(const cJSON *entry, const char *where, struct task *task, struct mttc_fault *fault) {
  const cJSON *interval;
  char place[64];
  snprintf(place, sizeof place, "%s.mean", where);
  if (!json_length(json_member(entry, "mean"), place, 1, MAX_VALUES, &task->count, fault) ||
      !read_object(entry, "interval", where, &interval, fault))
    return false;
  if (interval == NULL) return true;
  snprintf(place, sizeof place, "%s.interval.radius", where);
  return json_numbers(json_member(interval, "radius"), place, task->count, DBL_MAX, &task->radius, fault);
}

static bool read_task(const cJSON *entry, size_t number, struct task *task, struct mttc_fault *fault) {
  char where[32], place[64];
  snprintf(where, sizeof where, "tasks[%zu]", number);
  if (!cJSON_IsObject(entry)) return mttc_refuse(fault, CODE, "%s is no object", where);
  snprintf(place, sizeof place, "%s.name", where);
  if (!json_text(json_member(entry, "name"), place, &task->name, fault)) return false;
  snprintf(place, sizeof place, "%s.output", where);
  if (!json_text(json_member(entry, "output"), place, &task->output, fault)) return false;
  if (!read_kind(entry, where, &task->kind, fault)) return false;
  if (task->kind == KIND_CLASSES) return read_classes(entry, where, task, fault);
  return task->kind == KIND_TAGS ? read_tags(entry, where, task, fault)
                                 : read_number(entry, where, task, fault);
}

static bool read_tasks(const cJSON *list, struct metadata *metadata, struct mttc_fault *fault) {
  size_t count = 0;
  if (!json_length(list, "tasks", 1, MAX_TASKS, &count, fault)) return false;
  metadata->tasks = calloc(count, sizeof *metadata->tasks);
  if (metadata->tasks == NULL) return mttc_refuse(fault, CODE, "no memory for the tasks");
  metadata->task_count = count;
  const char *names[MAX_TASKS], *outputs[MAX_TASKS];
  const cJSON *entry;
  size_t i = 0;
  cJSON_ArrayForEach (entry, list) {
    if (!read_task(entry, i, &metadata->tasks[i], fault)) return false;
    names[i] = metadata->tasks[i].name;
    outputs[i] = metadata->tasks[i].output;
    i++;
  }
  return json_distinct(names, count, "the names of tasks", fault) &&
         json_distinct(outputs, count, "the outputs of tasks", fault);
}

static bool is_text(const cJSON *object, const char *key, const char *wanted) {
  const cJSON *value = json_member(object, key);
  return cJSON_IsString(value) && strcmp(value->valuestring, wanted) == 0;
}

static bool read_preprocessing(const cJSON *rules, struct metadata *metadata, struct mttc_fault *fault) {
  const cJSON *grey = json_member(rules, "greyscale"), *dtype = json_member(rules, "dtype");
  if (!cJSON_IsObject(rules)) return mttc_refuse(fault, CODE, "preprocessing is no object");
  if (!json_whole(json_member(rules, "height"), "preprocessing.height", 1, MAX_SIDE, &metadata->height,
                  fault) ||
      !json_whole(json_member(rules, "width"), "preprocessing.width", 1, MAX_SIDE, &metadata->width, fault) ||
      !json_whole(json_member(rules, "channels"), "preprocessing.channels", 1, MAX_CHANNELS,
                  &metadata->channels, fault))
    return false;
  if ((uint64_t)metadata->height * metadata->width * metadata->channels > MAX_NUMBERS)
    return mttc_refuse(fault, CODE, "images of %ux%ux%u are beyond any memory", metadata->height,
                       metadata->width, metadata->channels);
  if (!cJSON_IsBool(grey))
    return mttc_refuse(fault, CODE, "preprocessing.greyscale is neither true nor false");
  if (!is_text(rules, "layout", "NHWC"))
    return mttc_refuse(fault, CODE, "preprocessing.layout is not \"NHWC\"");
  if (json_member(rules, "resize") != NULL && !is_text(rules, "resize", "graph"))
    return mttc_refuse(fault, CODE, "preprocessing.resize is not \"graph\"");
  metadata->grey = cJSON_IsTrue(grey);
  metadata->any_size = json_member(rules, "resize") != NULL;
  if (is_text(rules, "dtype", "uint16") || is_text(rules, "dtype", "float32"))
    return mttc_refuse(fault, "E_IMG_FORMAT", "a model of %s images is not run here, only of uint8",
                       dtype->valuestring);
  if (!is_text(rules, "dtype", "uint8")) return mttc_refuse(fault, CODE, "preprocessing.dtype is not known");
  if (metadata->channels == 1 || metadata->channels == 3) return true;
  return mttc_refuse(fault, "E_IMG_FORMAT", "a model of %u channels is not run here, only of 1 or 3",
                     metadata->channels);
}

static bool read_reading(const cJSON *json, struct metadata *metadata, struct mttc_fault *fault) {
  const cJSON *reading;
  uint32_t version;
  if (!read_object(json, "reading", "metadata", &reading, fault)) return false;
  if (reading == NULL) return true;
  if (!json_whole(json_member(reading, "version"), "reading.version", 1, NEWEST_READING, &version, fault))
    return false;
  const cJSON *cmyk = json_member(reading, "cmyk");
  if (cmyk == NULL) return true;
  metadata->has_cmyk = cJSON_IsString(cmyk) && mttc_cmyk_grid(cmyk->valuestring, metadata->cmyk);
  return metadata->has_cmyk || mttc_refuse(fault, CODE, "reading.cmyk is no grid of colours in base64");
}

static bool read_root(const cJSON *json, struct metadata *metadata, struct mttc_fault *fault) {
  uint32_t version;
  if (!is_text(json, "format", "mttc-model")) return mttc_refuse(fault, CODE, "format is not \"mttc-model\"");
  if (!json_whole(json_member(json, "version"), "version", 1, NEWEST_VERSION, &version, fault)) return false;
  if (!is_text(json, "kind", "model") && !is_text(json, "kind", "task"))
    return mttc_refuse(fault, CODE,
                       "kind is neither \"model\" nor \"task\": parts of a split export are not run");
  return read_reading(json, metadata, fault) && read_tasks(json_member(json, "tasks"), metadata, fault) &&
         read_preprocessing(json_member(json, "preprocessing"), metadata, fault);
}

bool metadata_read(const char *text, struct metadata *metadata, struct mttc_fault *fault) {
  *metadata = (struct metadata){.json = json_parse(text, fault)};
  return metadata->json != NULL && read_root(metadata->json, metadata, fault);
}

void metadata_free(struct metadata *metadata) {
  for (size_t i = 0; i < metadata->task_count; i++) {
    free(metadata->tasks[i].names);
    free(metadata->tasks[i].thresholds);
    free(metadata->tasks[i].radius);
  }
  free(metadata->tasks);
  cJSON_Delete(metadata->json);
  *metadata = (struct metadata){0};
}
