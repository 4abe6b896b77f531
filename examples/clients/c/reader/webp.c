// WebP by libwebp: the first frame, at the model's size where the image is larger (the decoder reduces it).
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "raw.h"

bool is_webp(const uint8_t *bytes, size_t length) {
  return length >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0;
}

// A chunk's bytes; a copy where `copy` is wanted.
static bool read_chunks(WebPDemuxer *demuxer, struct raw *raw, struct mttc_fault *fault) {
  WebPChunkIterator chunk;
  if (WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk)) {
    raw->orientation = exif_orientation(chunk.chunk.bytes, chunk.chunk.size);
    WebPDemuxReleaseChunkIterator(&chunk);
  }
  if (!WebPDemuxGetChunk(demuxer, "ICCP", 1, &chunk)) return true;
  raw->profile = malloc(chunk.chunk.size + 1);
  if (raw->profile != NULL) memcpy(raw->profile, chunk.chunk.bytes, chunk.chunk.size);
  raw->profile_length = chunk.chunk.size;
  WebPDemuxReleaseChunkIterator(&chunk);
  return raw->profile != NULL || mttc_refuse(fault, "E_IMG_LIMIT", "no memory for the profile");
}

// The size at which the image is decoded: its own, or so much smaller that one side is the model's.
static void choose_size(uint32_t width, uint32_t height, const struct mttc_rules *rules, struct raw *raw) {
  const bool is_turned = raw->orientation >= 5;
  double shrink = 1;
  if (rules->resize) {
    const double across = (double)width / (is_turned ? rules->height : rules->width);
    const double down = (double)height / (is_turned ? rules->width : rules->height);
    shrink = fmax(1, fmin(across, down));
  }
  raw->width = (uint32_t)rint(width * (1 / shrink));
  raw->height = (uint32_t)rint(height * (1 / shrink));
}

static bool read_frame(const WebPIterator *frame, bool has_alpha, struct raw *raw, struct mttc_fault *fault) {
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config))
    return mttc_refuse(fault, "E_IMG_FORMAT", "another version of libwebp");
  raw->channels = has_alpha ? 4 : 3;
  raw->bytes = 1;
  if (!raw_allocate(raw, fault)) return false;
  const size_t row = (size_t)raw->width * raw->channels;
  config.output.colorspace = has_alpha ? MODE_RGBA : MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = raw->data;
  config.output.u.RGBA.stride = (int)row;
  config.output.u.RGBA.size = row * raw->height;
  if ((int)raw->width != frame->width || (int)raw->height != frame->height) {
    config.options.use_scaling = 1;
    config.options.scaled_width = (int)raw->width;
    config.options.scaled_height = (int)raw->height;
  }
  const VP8StatusCode status = WebPDecode(frame->fragment.bytes, frame->fragment.size, &config);
  WebPFreeDecBuffer(&config.output);
  if (status == VP8_STATUS_OK) return true;
  return mttc_refuse(fault, "E_IMG_TRUNCATED", "the image is damaged or cut short: status %d of libwebp",
                     status);
}

static bool read_demuxed(WebPDemuxer *demuxer, const struct mttc_rules *rules, struct raw *raw,
                         struct mttc_fault *fault) {
  const uint32_t width = WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_WIDTH);
  const uint32_t height = WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_HEIGHT);
  if (!read_chunks(demuxer, raw, fault)) return false;
  if (!raw_size_ok(width, height, raw->orientation >= 5, rules, fault)) return false;
  WebPIterator frame;
  if (!WebPDemuxGetFrame(demuxer, 1, &frame))
    return mttc_refuse(fault, "E_IMG_TRUNCATED", "the image is cut short: it has no frame");
  bool is_read = false;
  if (!frame.complete) {
    mttc_refuse(fault, "E_IMG_TRUNCATED", "the image is cut short");
  } else if ((uint32_t)frame.width != width || (uint32_t)frame.height != height) {
    mttc_refuse(fault, "E_IMG_FORMAT", "a WebP whose first frame is a part of the image is not read");
  } else {
    choose_size(width, height, rules, raw);
    is_read =
        read_frame(&frame, (WebPDemuxGetI(demuxer, WEBP_FF_FORMAT_FLAGS) & ALPHA_FLAG) != 0, raw, fault);
  }
  WebPDemuxReleaseIterator(&frame);
  return is_read;
}

bool decode_webp(const uint8_t *bytes, size_t length, const struct mttc_rules *rules, struct raw *raw,
                 struct mttc_fault *fault) {
  const WebPData data = {bytes, length};
  WebPDemuxState state;
  WebPDemuxer *demuxer = WebPDemuxPartial(&data, &state);
  if (demuxer == NULL || state < WEBP_DEMUX_PARSED_HEADER) {
    WebPDemuxDelete(demuxer);
    return mttc_refuse(fault, "E_IMG_FORMAT",
                       "expected a JPEG, PNG or WebP image: no WebP after its first bytes");
  }
  const bool is_read = state == WEBP_DEMUX_DONE
                           ? read_demuxed(demuxer, rules, raw, fault)
                           : mttc_refuse(fault, "E_IMG_TRUNCATED", "the image is cut short");
  WebPDemuxDelete(demuxer);
  return is_read;
}
