#include "fault.h"

#include <stdarg.h>
#include <stdio.h>

bool mttc_refuse(struct mttc_fault *fault, const char *code, const char *format, ...) {
  va_list values;
  va_start(values, format);
  vsnprintf(fault->text, sizeof fault->text, format, values);
  va_end(values);
  fault->code = code;
  // Names come from strangers' files: nothing may steer the terminal.
  for (char *at = fault->text; *at != '\0'; at++)
    if ((unsigned char)*at < 0x20 || *at == 0x7f) *at = ' ';
  return false;
}
