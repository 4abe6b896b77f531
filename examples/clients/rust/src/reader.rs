//! An image file -> the pixels that a model takes: those that training saw (docs/predict.md, "How images
//! are read").
use crate::colour::{CmykGrid, onto_white, to_grey, to_srgb};
use crate::decode::{Layout, Raster, decode};
use crate::fault::{Fault, Result};
use crate::resize::resize;

/// Sides shorter than this, and than the model's, are refused as in training.
const MIN_SIDE: usize = 8;

/// What an image must become.
#[derive(Debug, Clone)]
pub struct Form {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub greyscale: bool,
    /// Numbers of a pixel; only uint8 is read here.
    pub dtype: &'static str,
    /// Whether the graph takes images of every size and resizes itself.
    pub any_size: bool,
    /// What CMYK without a profile becomes.
    pub cmyk: Option<CmykGrid>,
}

/// uint8 [height, width, channels].
pub struct Pixels {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub data: Vec<u8>,
}

/// Reads the bytes of an image file. E_IMG_FORMAT, E_IMG_TRUNCATED, E_IMG_LIMIT, E_IMG_SIZE,
/// E_IMG_CHANNELS.
pub fn read_image(bytes: &[u8], form: &Form) -> Result<Pixels> {
    if form.dtype != "uint8" {
        return Err(Fault::new(
            "E_IMG_FORMAT",
            format!("the model takes pixels of {}, only uint8 is read", form.dtype),
        ));
    }
    let target = (form.height, form.width);
    let stored = decode(bytes, (!form.any_size).then_some(target))?;
    check_side(&stored, form)?;
    // A graph that resizes takes bytes; else the high byte is taken at the end.
    let stored = if form.any_size { stored.shallow() } else { stored };
    let image = to_srgb(stored, form.cmyk.as_ref())?;
    let image = brought(image, form)?;
    let orientation = image.orientation;
    let turned = orientation >= 5;
    let (height, width) = match (form.any_size, turned) {
        (true, _) => (image.height, image.width),
        (false, true) => (form.width, form.height),
        (false, false) => target,
    };
    let bands = image.layout.bands();
    let image = turn(resize(image, height, width).shallow());
    let bytes: Vec<u8> = image.data.iter().map(|&number| number as u8).collect();
    let data = if bands == form.channels { bytes } else { repeated(&bytes, form.channels) };
    Ok(Pixels { height: image.height, width: image.width, channels: form.channels, data })
}

fn check_side(image: &Raster, form: &Form) -> Result<()> {
    let (height, width) =
        if image.orientation >= 5 { (image.width, image.height) } else { (image.height, image.width) };
    if height >= MIN_SIDE.min(form.height) && width >= MIN_SIDE.min(form.width) {
        return Ok(());
    }
    Err(Fault::new(
        "E_IMG_SIZE",
        format!("the image is {width}x{height}, the least is {MIN_SIDE}x{MIN_SIDE}"),
    ))
}

/// Alpha and grey as the model takes them; what it cannot take is E_IMG_CHANNELS.
fn brought(image: Raster, form: &Form) -> Result<Raster> {
    match form.channels {
        _ if form.greyscale => Ok(to_grey(onto_white(image))),
        3 => Ok(onto_white(image)),
        4 if image.layout == Layout::RgbAlpha => Ok(image),
        channels => {
            let found =
                if image.layout.bands() == image.layout.colours() { "colours" } else { "colours and alpha" };
            Err(Fault::new(
                "E_IMG_CHANNELS",
                format!("the image has {found}, the model takes {channels} channels"),
            ))
        }
    }
}

/// One channel, repeated.
fn repeated(grey: &[u8], channels: usize) -> Vec<u8> {
    grey.iter().flat_map(|&value| std::iter::repeat_n(value, channels)).collect()
}

/// Turns an image as its orientation says.
fn turn(image: Raster) -> Raster {
    let Raster { height: h, width: w, orientation, .. } = image;
    if orientation <= 1 {
        return image;
    }
    let (height, width) = if orientation >= 5 { (w, h) } else { (h, w) };
    let bands = image.layout.bands();
    let mut data = Vec::with_capacity(image.data.len());
    for y in 0..height {
        for x in 0..width {
            let (row, column) = match orientation {
                2 => (y, w - 1 - x),
                3 => (h - 1 - y, w - 1 - x),
                4 => (h - 1 - y, x),
                5 => (x, y),
                6 => (h - 1 - x, y),
                7 => (h - 1 - x, w - 1 - y),
                _ => (x, w - 1 - y),
            };
            data.extend_from_slice(&image.data[(row * w + column) * bands..][..bands]);
        }
    }
    Raster { height, width, data, orientation: 1, ..image }
}
