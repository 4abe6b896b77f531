// Colours: an embedded profile's become sRGB (Little CMS), transparent ones are laid onto white, grey is the
// luminance of linear light. Each rounds as libvips does, which training reads images with.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lcms2.h>

#include "raw.h"

static bool has_alpha(const struct raw *raw) {
  return !raw->is_cmyk && raw->channels % 2 == 0;
}

static uint32_t colours_of(const struct raw *raw) {
  return raw->channels - (has_alpha(raw) ? 1 : 0);
}

// The profile, where it is sound and of an image like this; else NULL, and the image counts as sRGB.
static cmsHPROFILE usable_profile(const struct raw *raw) {
  if (raw->profile == NULL || raw->profile_length > UINT32_MAX) return NULL;
  // 16 bits of grey are read without their profile.
  if (raw->bytes == 2 && colours_of(raw) == 1) return NULL;
  cmsHPROFILE profile = cmsOpenProfileFromMem(raw->profile, (cmsUInt32Number)raw->profile_length);
  if (profile == NULL) return NULL;
  const cmsColorSpaceSignature wanted = raw->is_cmyk           ? cmsSigCmykData
                                        : colours_of(raw) == 1 ? cmsSigGrayData
                                                               : cmsSigRgbData;
  if (cmsGetColorSpace(profile) == wanted) return profile;
  cmsCloseProfile(profile);
  return NULL;
}

// Where red, green and blue lie in XYZ (D50), as the profiles state it that training uses.
static const cmsCIEXYZ SRGB[3] = {{0.43603515625, 0.222442626953125, 0.0139007568359375},
                                  {0.385101318359375, 0.7169342041015625, 0.097076416015625},
                                  {0.14306640625, 0.0606231689453125, 0.71392822265625}};
static const cmsCIEXYZ DISPLAY_P3[3] = {{0.5151214599609375, 0.2411956787109375, 0},
                                        {0.2919769287109375, 0.6922454833984375, 0.0418243408203125},
                                        {0.1571044921875, 0.066558837890625, 0.7830810546875}};
static const cmsCIEXYZ D50 = {0.964202880859375, 1, 0.8249053955078125};
// sRGB's curve (IEC 61966-2-1) in 65536ths, as a profile holds it.
static const cmsFloat64Number CURVE[] = {157289 / 65536.0, 62119 / 65536.0, 3417 / 65536.0, 5072 / 65536.0,
                                         2651 / 65536.0};

// A display profile of version 4 with those primaries and sRGB's curve; NULL where there is no memory.
static cmsHPROFILE display_profile(const cmsCIEXYZ primaries[3]) {
  cmsHPROFILE profile = cmsCreateProfilePlaceholder(NULL);
  cmsToneCurve *curve = cmsBuildParametricToneCurve(NULL, 4, CURVE);
  if (profile != NULL) {
    cmsSetProfileVersion(profile, 4.2);
    cmsSetDeviceClass(profile, cmsSigDisplayClass);
    cmsSetColorSpace(profile, cmsSigRgbData);
    cmsSetPCS(profile, cmsSigXYZData);
  }
  const bool is_whole =
      profile != NULL && curve != NULL && cmsWriteTag(profile, cmsSigMediaWhitePointTag, &D50) &&
      cmsWriteTag(profile, cmsSigRedColorantTag, &primaries[0]) &&
      cmsWriteTag(profile, cmsSigGreenColorantTag, &primaries[1]) &&
      cmsWriteTag(profile, cmsSigBlueColorantTag, &primaries[2]) &&
      cmsWriteTag(profile, cmsSigRedTRCTag, curve) && cmsWriteTag(profile, cmsSigGreenTRCTag, curve) &&
      cmsWriteTag(profile, cmsSigBlueTRCTag, curve);
  cmsFreeToneCurve(curve);
  if (is_whole) return profile;
  if (profile != NULL) cmsCloseProfile(profile);
  return NULL;
}

static cmsHTRANSFORM transform_of(cmsHPROFILE source, const struct raw *raw) {
  // 16 bits of RGB become Display P3, not sRGB: so training has it.
  cmsHPROFILE target = display_profile(raw->bytes == 1 ? SRGB : DISPLAY_P3);
  if (target == NULL) return NULL;
  const cmsUInt32Number intent = cmsIsIntentSupported(source, INTENT_PERCEPTUAL, LCMS_USED_AS_INPUT)
                                     ? INTENT_PERCEPTUAL
                                     : cmsGetHeaderRenderingIntent(source);
  const uint32_t colours = colours_of(raw);
  const cmsUInt32Number extra = EXTRA_SH(raw->channels - colours), bytes = BYTES_SH(raw->bytes);
  const cmsUInt32Number space = raw->is_cmyk ? PT_CMYK : colours == 1 ? PT_GRAY : PT_RGB;
  const cmsUInt32Number from = COLORSPACE_SH(space) | CHANNELS_SH(colours) | extra | bytes;
  const cmsUInt32Number to = COLORSPACE_SH(PT_RGB) | CHANNELS_SH(3) | extra | bytes;
  const cmsUInt32Number flags = cmsFLAGS_NOCACHE | (extra ? cmsFLAGS_COPY_ALPHA : 0);
  cmsHTRANSFORM transform = cmsCreateTransform(source, from, target, to, intent, flags);
  cmsCloseProfile(target);
  return transform;
}

bool raw_to_srgb(struct raw *raw, const struct mttc_rules *rules, struct mttc_fault *fault) {
  cmsHPROFILE source = usable_profile(raw);
  cmsHTRANSFORM transform = source == NULL ? NULL : transform_of(source, raw);
  if (source != NULL) cmsCloseProfile(source);
  if (transform == NULL) {
    if (!raw->is_cmyk) return true;
    if (rules->cmyk != NULL) return raw_from_inks(raw, rules->cmyk, fault);
    return mttc_refuse(fault, "E_IMG_FORMAT", "CMYK without a colour profile is not read here");
  }
  struct raw srgb = *raw;
  srgb.is_cmyk = false;
  srgb.channels = has_alpha(raw) ? 4 : 3;
  const bool has_room = raw_allocate(&srgb, fault);
  const size_t from_row = (size_t)raw->width * raw->channels * raw->bytes;
  const size_t to_row = (size_t)srgb.width * srgb.channels * srgb.bytes;
  for (size_t y = 0; has_room && y < raw->height; y++)
    cmsDoTransform(transform, (uint8_t *)raw->data + y * from_row, (uint8_t *)srgb.data + y * to_row,
                   raw->width);
  cmsDeleteTransform(transform);
  if (!has_room) return false;
  free(raw->data);
  *raw = srgb;
  return true;
}

bool raw_flatten(struct raw *raw, struct mttc_fault *fault) {
  if (!has_alpha(raw)) return true;
  struct raw flat = *raw;
  flat.channels = colours_of(raw);
  if (!raw_allocate(&flat, fault)) return false;
  const size_t count = (size_t)raw->width * raw->height;
  const uint32_t colours = flat.channels;
  for (size_t i = 0; i < count; i++)
    for (uint32_t c = 0; c < colours; c++) {
      if (raw->bytes == 1) {
        const uint8_t *from = (const uint8_t *)raw->data + i * raw->channels;
        const unsigned alpha = from[colours];
        ((uint8_t *)flat.data)[i * colours + c] = (uint8_t)((from[c] * alpha + 255 * (255 - alpha)) / 255);
      } else {
        // White is 255 x 256 there: its high byte counts.
        const uint16_t *from = (const uint16_t *)raw->data + i * raw->channels;
        const double alpha = from[colours], clear = 65535 - alpha;
        ((uint16_t *)flat.data)[i * colours + c] = (uint16_t)((from[c] * alpha + 65280.0 * clear) / 65535);
      }
    }
  free(raw->data);
  *raw = flat;
  return true;
}

static float to_light(float share) {
  return share <= 0.04045F ? share / 12.92F : powf((share + 0.055F) / 1.055F, 2.4F);
}

static float from_light(float light) {
  return light <= 0.0031308F ? 12.92F * light : 1.055F * powf(light, 1 / 2.4F) - 0.055F;
}

bool raw_to_grey(struct raw *raw, struct mttc_fault *fault) {
  if (raw->channels == 1 && raw->bytes == 1) return true;
  const uint32_t levels = raw->bytes == 1 ? 256 : 65536, colours = raw->channels;
  struct raw grey = *raw;
  grey.channels = grey.bytes = 1;
  float *light = malloc(levels * sizeof *light);
  if (light == NULL || !raw_allocate(&grey, fault)) {
    free(light);
    return mttc_refuse(fault, "E_IMG_LIMIT", "no memory for %ux%u pixels", raw->width, raw->height);
  }
  for (uint32_t i = 0; i < levels; i++) light[i] = to_light((float)i / (float)(levels - 1));
  // The way back is linear between 256 levels of light.
  float back[257];
  for (int i = 0; i < 256; i++) back[i] = rintf(255 * from_light((float)i / 255));
  back[256] = back[255];
  const size_t count = (size_t)raw->width * raw->height;
  for (size_t i = 0; i < count; i++) {
    float part[3];
    for (uint32_t c = 0; c < 3; c++) {
      const size_t at = i * colours + (colours == 1 ? 0 : c);
      part[c] = light[raw->bytes == 1 ? ((uint8_t *)raw->data)[at] : ((uint16_t *)raw->data)[at]];
    }
    const float place = fminf(255 * (0.2126F * part[0] + 0.7152F * part[1] + 0.0722F * part[2]), 255);
    const int low = (int)place;
    ((uint8_t *)grey.data)[i] =
        (uint8_t)rintf(back[low] + (back[low + 1] - back[low]) * (place - (float)low));
  }
  free(light);
  free(raw->data);
  *raw = grey;
  return true;
}

bool raw_to_bytes(struct raw *raw, struct mttc_fault *fault) {
  if (raw->bytes == 1) return true;
  struct raw high = *raw;
  high.bytes = 1;
  if (!raw_allocate(&high, fault)) return false;
  const size_t count = (size_t)raw->width * raw->height * raw->channels;
  for (size_t i = 0; i < count; i++) ((uint8_t *)high.data)[i] = (uint8_t)(((uint16_t *)raw->data)[i] >> 8);
  free(raw->data);
  *raw = high;
  return true;
}
