"""The resize of training, to the bit: Lanczos 3 that reduces, Catmull-Rom that enlarges, in integers.

It is libvips's arithmetic; the metadata of an exported file say it in words.
"""

import numpy as np

# Places are taken in 64ths of a pixel, weights in 4096ths.
WEIGHT = 4096
# libvips adds up the places of a column anew after so many rows.
STRIP = 10


def resize(pixels, height, width):
    """uint8 [h, w, channels] -> uint8 [height, width, channels]; the aspect ratio is not kept."""
    image = pixels.astype(np.int64)
    if height < len(image):
        image = reduce(image, height, STRIP)
    if width < image.shape[1]:
        image = turned(reduce(turned(image), width, width))
    if width > pixels.shape[1] or height > len(pixels):
        image = enlarge(turned(enlarge(turned(image), width)), height)
    return np.clip(image, 0, 255).astype(np.uint8)


def turned(image):
    return image.swapaxes(0, 1)


def reduce(image, size, strip):
    """Rows by a mean of whole rows first, then by Lanczos 3, widened by what is left to reduce."""
    before = len(image)
    factor = max(1, before // (2 * size))
    if factor > 1:
        image = box(image, factor)
    if before == factor * size:
        return image
    places, scale = places_of(before, size, factor, strip)
    half = round(3 * scale)
    taps = np.arange(2 * half + 1)
    away = (taps - (((places & 127) + 1 >> 1)[:, None] / 64 + half - 0.5)) / scale
    weights = np.where(abs(away) <= 3, np.sinc(away) * np.sinc(away / 3), 0)
    weights = np.trunc(WEIGHT * (weights / weights.sum(1, keepdims=True))).astype(np.int64)
    at = np.clip((places >> 7)[:, None] - half + taps, 0, len(image) - 1)
    rows = np.stack([np.tensordot(weights[row], image[at[row]], (0, 0)) for row in range(size)])
    return np.clip(rows + WEIGHT // 2 >> 12, 0, 255)


def box(image, factor):
    """The mean of each `factor` rows, the last row repeated where they do not come out even."""
    image = np.concatenate([image, np.repeat(image[-1:], -len(image) % factor, 0)])
    sums = image.reshape(-1, factor, *image.shape[1:]).sum(1)
    return (sums + factor // 2) * (2**24 // factor) >> 24


def places_of(before, size, factor, strip):
    """Where each row comes from, in 128ths; the sums are rounded as libvips rounds them."""
    whole = 1 / (1 / (before / size))
    scale = whole / factor
    extra = (size * whole - before) / factor
    places = []
    for row in range(size):
        anew = (row + 0.5) * scale - 0.5 - ((1 + extra) / 2 - 1)
        places.append(anew if row % strip == 0 else places[-1] + scale)
    return (np.array(places) * 128).astype(np.int64), scale


def enlarge(image, size):
    """Rows by Catmull-Rom; not clipped yet."""
    before = len(image)
    places = np.arange(size) * before * 128 // size - 64
    x = ((places & 127) + 1 >> 1) / 64
    cubic = [
        -x * (1 - x) ** 2 / 2,
        (1 - x) * (1 + x - 1.5 * x * x),
        x * (0.5 + 2 * x - 1.5 * x * x),
        -x * x * (1 - x) / 2,
    ]
    weights = np.trunc(WEIGHT * np.stack(cubic, 1)).astype(np.int64)
    at = np.clip((places >> 7)[:, None] - 1 + np.arange(4), 0, before - 1)
    return np.einsum("jt,jt...->j...", weights, image[at]) + WEIGHT // 2 >> 12
