// The trace of what was asked of CUDA, and stream capture: both are about when a call is carried out. A
// line of the trace is mode, thread, stream, kind, name, detail and microseconds, with tabs between. Modes:
// run; captured (taken down, not carried out); replayed (of a graph that was launched); refused (CUDA would
// have given an error). Capture is as in CUDA's global mode, and stricter in one point: waiting for a
// stream that does not capture is refused, too.
#include "trace.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct text {
  char *start;
  size_t size, room;
};

// What a captured copy reads in the host's memory, and what was there.
struct source {
  const void *address;
  void *content;
  size_t size;
  struct source *next;
};

// A graph in the making; only the thread that began it may end it.
struct capture {
  struct text lines;
  struct source *sources;
  int thread, blocking, active, invalid;
};

struct stream {
  int number, blocking;
  struct capture *capture;
};

struct event {
  struct capture *capture;
};

// A graph and its executable form are both the lines that were taken down.
struct graph {
  int number;
  struct text lines;
  struct source *sources;
};

enum { MOST_CAPTURES = 64 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct text trace;
static struct capture *captures[MOST_CAPTURES];
static struct stream legacy = {0, 1, NULL};
static int threads, streams, graphs;
static __thread int thread;

static void append(struct text *text, const char *piece, size_t size) {
  if (text->size + size + 1 > text->room) {
    text->room = (text->size + size + 1) * 2;
    text->start = realloc(text->start, text->room);
  }
  memcpy(text->start + text->size, piece, size);
  text->size += size;
  text->start[text->size] = 0;
}

static void add_line(const char *mode, const char *rest) {
  append(&trace, mode, strlen(mode));
  append(&trace, "\t", 1);
  append(&trace, rest, strlen(rest));
}

// The handles 0, 1 and 2 are CUDA's default streams.
static struct stream *stream_of(void *handle) { return (size_t)handle <= 2 ? &legacy : handle; }

// The capture that a stream is part of: one that has ended is forgotten.
static struct capture *capture_of(struct stream *stream) {
  if (stream->capture && !stream->capture->active) stream->capture = NULL;
  return stream->capture;
}

static int thread_number(void) {
  if (!thread) thread = ++threads;
  return thread;
}

// By the clock of ONNX Runtime's profiles.
static double microseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec % 100000 * 1e6 + now.tv_nsec / 1e3;
}

static int any_capture(int (*fits)(struct capture *)) {
  for (int i = 0; i < MOST_CAPTURES; i++)
    if (captures[i] && fits(captures[i])) return 1;
  return 0;
}

static int is_active(struct capture *capture) { return capture->active && !capture->invalid; }

static int is_blocking(struct capture *capture) { return is_active(capture) && capture->blocking; }

static int invalidate(struct capture *capture) {
  if (is_active(capture)) capture->invalid = 1;
  return 0;
}

enum manner { NOTE, WORK, UNSAFE };

static int refusal(struct stream *stream, enum manner manner) {
  if (manner == NOTE) return SUCCESS;
  if (manner == UNSAFE) return any_capture(is_active) ? CAPTURE_UNSUPPORTED : SUCCESS;
  struct capture *capture = capture_of(stream);
  if (capture) return capture->invalid ? CAPTURE_INVALIDATED : SUCCESS;
  // Work on the default stream would wait for the streams that do not avoid it.
  return stream == &legacy && any_capture(is_blocking) ? CAPTURE_IMPLICIT : SUCCESS;
}

static int enter(enum manner manner, void *handle, const char *kind, const char *name, const char *format,
                 va_list args) {
  char line[4096], detail[512];
  struct stream *stream = stream_of(handle);
  vsnprintf(detail, sizeof detail, format, args);
  pthread_mutex_lock(&lock);
  snprintf(line, sizeof line, "%d\t%d\t%s\t%s\t%s\t%.1f\n", thread_number(), stream->number, kind, name,
           detail, microseconds());
  int status = refusal(stream, manner);
  if (status) {
    add_line("refused", line);
    any_capture(invalidate);
  } else if (manner == WORK && stream->capture) {
    add_line("captured", line);
    append(&stream->capture->lines, line, strlen(line));
    status = RECORDED;
  } else {
    add_line("run", line);
  }
  pthread_mutex_unlock(&lock);
  return status;
}

#define ENTER(manner)                                              \
  va_list args;                                                    \
  va_start(args, format);                                          \
  int status = enter(manner, stream, kind, name, format, args);    \
  va_end(args);

int standInWork(void *stream, const char *kind, const char *name, const char *format, ...) {
  ENTER(WORK)
  return status;
}

int standInUnsafe(void *stream, const char *kind, const char *name, const char *format, ...) {
  ENTER(UNSAFE)
  return status;
}

void standInNote(void *stream, const char *kind, const char *name, const char *format, ...) { ENTER(NOTE) }

void standInSource(void *stream, const void *address, size_t size) {
  struct capture *capture = stream_of(stream)->capture;
  struct source *source = malloc(sizeof *source);
  *source = (struct source){address, memcpy(malloc(size), address, size), size, capture->sources};
  capture->sources = source;
}

int standInHandleWork(void **handle, const char *kind, const char *name) {
  int status = standInWork(*handle, kind, name, "");
  return status == RECORDED ? SUCCESS : status;
}

int standInHandle(void **handle) {
  *handle = calloc(1, 64);
  return SUCCESS;
}

// For tests: all that was entered since the last reset.
const char *standInTrace(void) { return trace.start ? trace.start : ""; }
int standInReset(void) {
  pthread_mutex_lock(&lock);
  trace.size = 0;
  append(&trace, "", 0);
  pthread_mutex_unlock(&lock);
  return SUCCESS;
}

static int make_stream(void **handle, int blocking) {
  struct stream *stream = calloc(1, sizeof *stream);
  pthread_mutex_lock(&lock);
  *stream = (struct stream){++streams, blocking, NULL};
  pthread_mutex_unlock(&lock);
  *handle = stream;
  return SUCCESS;
}

int cudaStreamCreate(void **stream) { return make_stream(stream, 1); }
int cudaStreamCreateWithFlags(void **stream, unsigned flags) { return make_stream(stream, !(flags & 1)); }
int cudaStreamDestroy(void *stream) {
  if (stream_of(stream) != &legacy) free(stream);
  return SUCCESS;
}
int cudaStreamSynchronize(void *stream) { return standInUnsafe(stream, "wait", "cudaStreamSynchronize", ""); }
int cudaDeviceSynchronize(void) { return standInUnsafe(NULL, "wait", "cudaDeviceSynchronize", ""); }

int cudaStreamIsCapturing(void *handle, int *status) {
  struct capture *capture = capture_of(stream_of(handle));
  *status = !capture ? 0 : capture->invalid ? 2 : 1;
  return SUCCESS;
}

int cudaStreamBeginCapture(void *handle, int mode) {
  struct stream *stream = stream_of(handle);
  standInNote(handle, "graph", "cudaStreamBeginCapture", "mode %d", mode);
  if (stream == &legacy || capture_of(stream)) return CAPTURE_UNSUPPORTED;
  pthread_mutex_lock(&lock);
  int place = 0;
  while (place < MOST_CAPTURES && captures[place]) place++;
  if (place < MOST_CAPTURES) {
    stream->capture = captures[place] = calloc(1, sizeof(struct capture));
    *stream->capture = (struct capture){.thread = thread_number(), .blocking = stream->blocking, .active = 1};
  }
  pthread_mutex_unlock(&lock);
  return place < MOST_CAPTURES ? SUCCESS : OUT_OF_MEMORY;
}

int cudaStreamEndCapture(void *handle, void **graph) {
  struct stream *stream = stream_of(handle);
  struct capture *capture = capture_of(stream);
  const char *state = capture && capture->invalid ? "invalidated" : "";
  standInNote(handle, "graph", "cudaStreamEndCapture", "%s", state);
  *graph = NULL;
  if (!capture) return 1;
  if (capture->thread != thread_number()) return CAPTURE_WRONG_THREAD;
  capture->active = 0;
  pthread_mutex_lock(&lock);
  // Kept in memory: streams and events that have joined still point at it.
  for (int i = 0; i < MOST_CAPTURES; i++)
    if (captures[i] == capture) captures[i] = NULL;
  pthread_mutex_unlock(&lock);
  if (capture->invalid) return CAPTURE_INVALIDATED;
  struct graph *made = calloc(1, sizeof *made);
  *made = (struct graph){++graphs, capture->lines, capture->sources};
  *graph = made;
  return SUCCESS;
}

int cudaGraphInstantiate(void **executable, struct graph *graph, unsigned long long flags) {
  struct graph *copy = calloc(1, sizeof *copy);
  copy->number = graph->number;
  copy->sources = graph->sources;
  append(&copy->lines, graph->lines.start ? graph->lines.start : "", graph->lines.size);
  standInNote(NULL, "graph", "cudaGraphInstantiate", "graph %d", graph->number);
  *executable = copy;
  return SUCCESS;
}

int cudaGraphLaunch(struct graph *graph, void *stream) {
  int changed = 0;
  for (struct source *source = graph->sources; source; source = source->next)
    changed += memcmp(source->address, source->content, source->size) != 0;
  int status =
      standInWork(stream, "graph", "cudaGraphLaunch", "graph %d, sources changed %d", graph->number, changed);
  if (status) return status == RECORDED ? SUCCESS : status;
  pthread_mutex_lock(&lock);
  // Its host functions are not called: what they release was released by the run that was captured.
  for (char *line = graph->lines.start; *line;) {
    char *end = strchr(line, '\n') + 1;
    append(&trace, "replayed\t", 9);
    append(&trace, line, end - line);
    line = end;
  }
  pthread_mutex_unlock(&lock);
  return SUCCESS;
}

int cudaGraphDestroy(struct graph *graph) {
  free(graph->lines.start);
  free(graph);
  return SUCCESS;
}

int cudaGraphExecDestroy(struct graph *graph) { return cudaGraphDestroy(graph); }

int cudaEventCreate(void **event) { return standInHandle(event); }
int cudaEventCreateWithFlags(void **event, unsigned flags) { return standInHandle(event); }
int cudaEventDestroy(void *event) {
  free(event);
  return SUCCESS;
}

int cudaEventRecord(struct event *event, void *stream) {
  int status = standInWork(stream, "event", "cudaEventRecord", "");
  event->capture = status == RECORDED ? stream_of(stream)->capture : NULL;
  return status == RECORDED ? SUCCESS : status;
}

int cudaStreamWaitEvent(void *handle, struct event *event, unsigned flags) {
  struct stream *stream = stream_of(handle);
  // Waiting for what is being captured joins the capture.
  if (event->capture && event->capture->active && stream != &legacy) stream->capture = event->capture;
  int status = standInWork(handle, "event", "cudaStreamWaitEvent", "");
  return status == RECORDED ? SUCCESS : status;
}

int cudaEventSynchronize(struct event *event) {
  return standInUnsafe(NULL, "wait", "cudaEventSynchronize", "");
}
int cudaEventQuery(struct event *event) { return standInUnsafe(NULL, "wait", "cudaEventQuery", ""); }
int cudaEventElapsedTime(float *milliseconds, void *from, void *to) {
  *milliseconds = 1;
  return SUCCESS;
}
