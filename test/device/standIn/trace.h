// What the parts of the stand-in for CUDA share: one trace, which lies in libcudart.so.13, and the rules of
// stream capture, which decide what becomes of a call.
#include <stddef.h>

enum { SUCCESS = 0, OUT_OF_MEMORY = 2, NO_SUCH_DEVICE = 101 };
enum { CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901, CAPTURE_IMPLICIT = 906 };
enum { CAPTURE_WRONG_THREAD = 908 };
// A call that a capture has taken down and that must not be carried out: no code of CUDA's.
enum { RECORDED = -1 };

// Enters work on a stream into the trace: 0 where it is to be carried out, RECORDED, or an error.
int standInWork(void *stream, const char *kind, const char *name, const char *format, ...);
// Keeps what a captured copy from the host reads, so that a launch can tell whether it has changed since.
void standInSource(void *stream, const void *source, size_t size);
// Enters a call that CUDA refuses while any stream captures: 0, or an error.
int standInUnsafe(void *stream, const char *kind, const char *name, const char *format, ...);
// Enters a call that is always allowed.
void standInNote(void *stream, const char *kind, const char *name, const char *format, ...);
// Work of a cuBLAS or cuDNN handle, whose first word is its stream: 0 or an error.
int standInHandleWork(void **handle, const char *kind, const char *name);
// A new handle of 64 bytes of zeros.
int standInHandle(void **handle);
