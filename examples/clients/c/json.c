#include "json.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CODE "E_MODEL_META"
// Bytes of metadata: a million class names of 64 letters.
#define MAX_BYTES ((size_t)64 << 20)

// Length of the UTF-8 sequence that begins at `at`; 0 where none does (RFC 3629).
static size_t sequence(const unsigned char *at) {
  if (at[0] < 0x80) return 1;
  const size_t length = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
  if (at[0] < 0xc2 || at[0] > 0xf4) return 0;
  for (size_t i = 1; i < length; i++)
    if ((at[i] & 0xc0) != 0x80) return 0;
  // Longer than need be, half a surrogate, past the last character.
  const bool is_odd = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
                      (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f);
  return is_odd ? 0 : length;
}

// Whether the text has the escape of character 0, which would end a C string early.
static bool has_null_escape(const char *text) {
  bool is_escaped = false;
  for (; *text != '\0'; text++) {
    if (is_escaped && strncmp(text, "u0000", 5) == 0) return true;
    is_escaped = !is_escaped && *text == '\\';
  }
  return false;
}

cJSON *json_parse(const char *text, struct mttc_fault *fault) {
  if (strlen(text) > MAX_BYTES) {
    mttc_refuse(fault, CODE, "the metadata has over 64 MiB");
    return NULL;
  }
  for (const unsigned char *at = (const unsigned char *)text; *at != '\0';) {
    const size_t length = sequence(at);
    if (length == 0) {
      mttc_refuse(fault, CODE, "the metadata is not UTF-8");
      return NULL;
    }
    at += length;
  }
  cJSON *json = has_null_escape(text) ? NULL : cJSON_ParseWithOpts(text, NULL, 1);
  if (json == NULL) mttc_refuse(fault, CODE, "the metadata is not JSON");
  return json;
}

const cJSON *json_member(const cJSON *object, const char *name) {
  const cJSON *found = NULL, *member;
  if (cJSON_IsObject(object))
    cJSON_ArrayForEach (member, object)
      if (member->string != NULL && strcmp(member->string, name) == 0) found = member;
  return found;
}

bool json_text(const cJSON *value, const char *where, const char **text, struct mttc_fault *fault) {
  if (!cJSON_IsString(value) || value->valuestring[0] == '\0')
    return mttc_refuse(fault, CODE, "%s is no text", where);
  *text = value->valuestring;
  return true;
}

bool json_whole(const cJSON *value, const char *where, double least, double most, uint32_t *number,
                struct mttc_fault *fault) {
  const double found = cJSON_IsNumber(value) ? value->valuedouble : NAN;
  if (!(found >= least && found <= most) || floor(found) != found)
    return mttc_refuse(fault, CODE, "%s is no whole number from %g to %g", where, least, most);
  *number = (uint32_t)found;
  return true;
}

bool json_length(const cJSON *list, const char *where, size_t least, size_t most, size_t *count,
                 struct mttc_fault *fault) {
  if (!cJSON_IsArray(list)) return mttc_refuse(fault, CODE, "%s is no list", where);
  *count = 0;
  const cJSON *entry;
  cJSON_ArrayForEach (entry, list) *count += 1;
  if (*count >= least && *count <= most) return true;
  return mttc_refuse(fault, CODE, "%s has %zu entries, expected %zu to %zu", where, *count, least, most);
}

bool json_texts(const cJSON *list, const char *where, size_t least, size_t most, const char ***texts,
                size_t *count, struct mttc_fault *fault) {
  if (!json_length(list, where, least, most, count, fault)) return false;
  *texts = calloc(*count, sizeof **texts);
  if (*texts == NULL) return mttc_refuse(fault, CODE, "no memory for %s", where);
  const char **next = *texts;
  const cJSON *entry;
  cJSON_ArrayForEach (entry, list)
    if (!json_text(entry, where, next++, fault)) return false;
  return true;
}

bool json_numbers(const cJSON *list, const char *where, size_t count, double most, double **numbers,
                  struct mttc_fault *fault) {
  size_t found = 0;
  if (!json_length(list, where, count, count, &found, fault)) return false;
  *numbers = calloc(count, sizeof **numbers);
  if (*numbers == NULL) return mttc_refuse(fault, CODE, "no memory for %s", where);
  double *next = *numbers;
  const cJSON *entry;
  cJSON_ArrayForEach (entry, list) {
    if (!cJSON_IsNumber(entry) || !(entry->valuedouble >= 0 && entry->valuedouble <= most))
      return mttc_refuse(fault, CODE, "%s has an entry that is no number from 0 to %g", where, most);
    *next++ = entry->valuedouble;
  }
  return true;
}

static int by_text(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool json_distinct(const char *const *texts, size_t count, const char *where, struct mttc_fault *fault) {
  const char **sorted = calloc(count + 1, sizeof *sorted);
  if (sorted == NULL) return mttc_refuse(fault, CODE, "no memory for %s", where);
  for (size_t i = 0; i < count; i++) sorted[i] = texts[i];
  qsort(sorted, count, sizeof *sorted, by_text);
  bool is_distinct = true;
  for (size_t i = 1; is_distinct && i < count; i++)
    if (strcmp(sorted[i - 1], sorted[i]) == 0)
      is_distinct = mttc_refuse(fault, CODE, "%s: \"%.100s\" is there twice", where, sorted[i]);
  free(sorted);
  return is_distinct;
}
