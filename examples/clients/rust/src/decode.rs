//! Bytes of a JPEG, PNG or WebP -> its pixels as stored, with its profile and orientation.
use crate::fault::{Fault, Result};
use image::codecs::png::PngDecoder;
use image::{ColorType, ImageDecoder, ImageError, Limits};
use std::io::Cursor;

/// Pixels that an image may have.
pub const MAX_PIXELS: usize = 1 << 28;
/// Bytes that its file may have.
const MAX_BYTES: usize = 1 << 26;

/// Pixels [height, width, bands] as they are stored.
pub struct Raster {
    pub height: usize,
    pub width: usize,
    pub layout: Layout,
    /// From 0 to 255, or to 65535 where `is_deep`.
    pub data: Vec<u16>,
    pub is_deep: bool,
    /// An ICC profile.
    pub icc: Option<Vec<u8>>,
    /// EXIF's number, 1 to 8.
    pub orientation: u8,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Layout {
    Grey,
    GreyAlpha,
    Rgb,
    RgbAlpha,
    Cmyk,
}

impl Raster {
    /// The largest number.
    pub fn most(&self) -> u32 {
        if self.is_deep { 65_535 } else { 255 }
    }

    /// The same in 8 bits: of 16 the high byte.
    pub fn shallow(self) -> Self {
        let data =
            if self.is_deep { self.data.iter().map(|number| number >> 8).collect() } else { self.data };
        Self { data, is_deep: false, ..self }
    }
}

impl Layout {
    /// Numbers of a pixel without alpha.
    pub fn colours(self) -> usize {
        match self {
            Self::Grey | Self::GreyAlpha => 1,
            Self::Rgb | Self::RgbAlpha => 3,
            Self::Cmyk => 4,
        }
    }

    /// Numbers of a pixel.
    pub fn bands(self) -> usize {
        self.colours() + usize::from(matches!(self, Self::GreyAlpha | Self::RgbAlpha))
    }
}

/// Decodes an image; a JPEG at a half, a quarter or an eighth where that is still larger than `target`,
/// which is the height and width that the upright image is to have. E_IMG_FORMAT (none of the formats),
/// E_IMG_LIMIT (more pixels or bytes than are read), E_IMG_TRUNCATED (damaged).
pub fn decode(bytes: &[u8], target: Option<(usize, usize)>) -> Result<Raster> {
    if bytes.len() > MAX_BYTES {
        return Err(Fault::new(
            "E_IMG_LIMIT",
            format!("the file has {} bytes, the limit is {MAX_BYTES}", bytes.len()),
        ));
    }
    let none = |error: ImageError| Fault::new("E_IMG_FORMAT", error);
    if bytes.starts_with(&[0xFF, 0xD8, 0xFF]) {
        crate::jpeg::decode(bytes, target)
    } else if bytes.starts_with(b"\x89PNG") {
        png(PngDecoder::with_limits(Cursor::new(bytes), Limits::no_limits()).map_err(none)?)
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        crate::webp::decode(bytes, target)
    } else {
        Err(Fault::new("E_IMG_FORMAT", "expected a JPEG, PNG or WebP image"))
    }
}

/// More pixels than are read: E_IMG_LIMIT.
pub fn check_size(width: usize, height: usize) -> Result<()> {
    if width.saturating_mul(height) <= MAX_PIXELS {
        return Ok(());
    }
    Err(Fault::new("E_IMG_LIMIT", format!("the image is {width}x{height}, the limit is {MAX_PIXELS} pixels")))
}

fn png(mut decoder: impl ImageDecoder) -> Result<Raster> {
    let damaged = |error: ImageError| Fault::new("E_IMG_TRUNCATED", format!("damaged or cut short: {error}"));
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    check_size(width, height)?;
    let colour = decoder.color_type();
    let layout = match colour {
        ColorType::L8 | ColorType::L16 => Layout::Grey,
        ColorType::La8 | ColorType::La16 => Layout::GreyAlpha,
        ColorType::Rgb8 | ColorType::Rgb16 => Layout::Rgb,
        ColorType::Rgba8 | ColorType::Rgba16 => Layout::RgbAlpha,
        other => return Err(Fault::new("E_IMG_FORMAT", format!("pixels of {other:?} are not read"))),
    };
    let icc = decoder.icc_profile().map_err(damaged)?;
    let orientation = decoder.orientation().map_err(damaged)?.to_exif();
    let mut bytes = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut bytes).map_err(damaged)?;
    let is_deep = bytes.len() > width * height * layout.bands();
    let data = if is_deep {
        bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_ne_bytes(*pair)).collect()
    } else {
        widened(&bytes)
    };
    Ok(Raster { height, width, layout, data, is_deep, icc, orientation })
}

/// Bytes as the numbers of a raster.
pub fn widened(bytes: &[u8]) -> Vec<u16> {
    bytes.iter().map(|&byte| byte.into()).collect()
}
