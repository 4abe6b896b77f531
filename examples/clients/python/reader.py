"""Image files -> pixels as training read them: docs/predict.md, "How images are read", step by step."""

import io
import itertools
import os
import stat

import numpy as np
from PIL import Image, ImageCms

from fault import Fault
from resize import resize

FORMATS = ("JPEG", "PNG", "WEBP")
MOST_PIXELS = 2**28
MOST_BYTES = 64 * 2**20
LEAST_SIDE = 8
TURNS = {  # what each EXIF orientation asks for
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels.swapaxes(0, 1)[:, ::-1],
    7: lambda pixels: pixels.swapaxes(0, 1)[::-1, ::-1],
    8: lambda pixels: pixels.swapaxes(0, 1)[::-1],
}


def read_image(path, model):
    """Pixels for a model (metadata.Metadata), uint8 [height, width, channels]; else a Fault."""
    data = file_bytes(path)
    image = opened(data)
    turn = orientation(image)
    # As the file has it: the picture is turned at the end.
    size = (model.width, model.height) if turn < 5 else (model.height, model.width)
    check_size(image.size, size)
    depth = data[24] if image.format == "PNG" else 8
    try:
        if image.format == "JPEG" and not model.resizes:
            image = reduced(image, size)
        image.load()
        rgb = flat_colours(image, depth, model)
    except Fault:
        raise
    except Exception as error:  # Pillow has no class of its own for what is wrong with a file.
        raise Fault("E_IMG_TRUNCATED", f"the image is damaged or cut short: {str(error)[:120]}") from None
    pixels = luminance(rgb) if model.greyscale else rgb
    if not model.resizes:
        pixels = resize(pixels, size[1], size[0])
    if turn in TURNS:
        pixels = TURNS[turn](pixels)
    return np.repeat(pixels, model.channels, 2) if model.greyscale else np.ascontiguousarray(pixels)


def file_bytes(path):
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise Fault("E_PATH_TYPE", "expected a regular file")
        if os.path.getsize(path) > MOST_BYTES:
            raise Fault("E_IMG_LIMIT", f"the file has more than {MOST_BYTES} bytes")
        with open(path, "rb") as file:
            return file.read(MOST_BYTES)
    except (OSError, ValueError) as error:
        raise Fault("E_FILE", f"cannot read the image: {getattr(error, 'strerror', None) or error}") from None


def opened(data):
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.UnidentifiedImageError:
        raise Fault("E_IMG_FORMAT", "expected a JPEG, PNG or WebP image") from None
    except Image.DecompressionBombError:
        raise Fault("E_IMG_LIMIT", "the image has too many pixels") from None
    except Exception as error:
        raise Fault("E_IMG_TRUNCATED", f"the image is damaged: {str(error)[:120]}") from None


def check_size(found, wanted):
    """The picture's and the model's width and height."""
    if found[0] * found[1] > MOST_PIXELS:
        raise Fault("E_IMG_LIMIT", f"the image is {found[0]}x{found[1]}, the limit is {MOST_PIXELS} pixels")
    least = [min(LEAST_SIDE, side) for side in wanted]
    if found[0] < least[0] or found[1] < least[1]:
        raise Fault("E_IMG_SIZE", f"the image is {found[0]}x{found[1]}, the least is {least[0]}x{least[1]}")


def orientation(image):
    """1 to 8: of EXIF alone. Pillow's own reader would ask XMP, too."""
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        value = exif.get(0x112, 1)
    except Exception:  # Damaged EXIF turns nothing, as in training.
        return 1
    return value if value in TURNS else 1


def reduced(image, size):
    """A JPEG decoded at a half, a quarter or an eighth where that is still larger than the target."""
    scale = min(np.divide(image.size, size))
    factor = max(k for k in (1, 2, 4, 8) if k < max(2, int(scale)))
    small = tuple(side // factor for side in image.size)
    image.draft(None, small)
    return image.crop((0, 0, *small))


def flat_colours(image, depth, model):
    """uint8 [height, width, 3]: high bytes of 16 bits, sRGB, on white."""
    profile = image.info.get("icc_profile")
    image, alpha = split_alpha(image, depth)
    if profile and depth == 16 and image.mode == "RGB":
        raise Fault("E_IMG_FORMAT", "16 bits a channel with a colour profile are not read here")
    if profile and depth == 8:
        image = in_srgb(image, profile)
    if image.mode == "CMYK":
        rgb = from_inks(np.asarray(image), model.cmyk)
    else:
        rgb = np.asarray(image.convert("RGB"))
    if alpha is None:
        return rgb
    cover = np.asarray(alpha).astype(np.uint16)[..., None]
    return ((rgb * cover + 255 * (255 - cover)) // 255).astype(np.uint8)


def split_alpha(image, depth):
    """Colours (L, RGB or CMYK) and their alpha (L), None where all is opaque."""
    clear = image.info.get("transparency")
    if image.mode.startswith("I"):  # 16 bits of grey
        values = np.asarray(image)
        alpha = None if clear is None else Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8))
        return Image.fromarray((values >> 8).astype(np.uint8)), alpha
    if clear is not None and depth == 16:
        raise Fault("E_IMG_FORMAT", "16 bits with one clear colour are not read here")
    if image.mode in ("P", "PA", "RGBA", "LA") or clear is not None:
        grey = image.mode in ("LA", "L", "1")
        image = image.convert("LA" if grey else "RGBA")
        return image.convert("L" if grey else "RGB"), image.getchannel("A")
    if image.mode not in ("1", "L", "RGB", "CMYK"):
        raise Fault("E_IMG_FORMAT", f"colours of the mode {image.mode} are not read here")
    return image.convert("L") if image.mode == "1" else image, None


def in_srgb(image, profile):
    """Colours of an embedded profile as sRGB, perceptual; a profile of other channels says nothing."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != {"L": "GRAY"}.get(image.mode, image.mode):
            return image
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image


def from_inks(inks, grid):
    """CMYK without a profile: linear between the colours of the grid."""
    if not grid:
        raise Fault("E_IMG_FORMAT", "CMYK without a profile, and the model has no grid of its colours")
    colours = np.frombuffer(grid, np.uint8).reshape(5, 5, 5, 5, 3)
    low = np.minimum(inks // 64, 3)
    part = inks / 63.75 - low
    rgb = np.zeros(inks.shape[:2] + (3,))
    for up in itertools.product((0, 1), repeat=4):
        weight = np.where(up, part, 1 - part).prod(-1)
        rgb += weight[..., None] * colours[tuple(np.moveaxis(low + up, -1, 0))]
    return np.rint(rgb).astype(np.uint8)


def luminance(rgb):
    """Grey by the luminance of linear light (BT.709), on sRGB's curve: uint8 [height, width, 1].

    The curve's way back is a table of 256 steps, linear in between, as in training.
    """
    value = np.arange(256) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)
    light = 255 * (linear[rgb] @ np.float32([0.2126, 0.7152, 0.0722]))
    curve = np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)
    grey = np.interp(light, np.arange(256), np.rint(255 * curve))
    return np.rint(grey).astype(np.uint8)[..., None]
