//! JPEGs through libjpeg-turbo's code (mozjpeg), as training reads them: the same IDCT, upsampling and
//! scaling.
use crate::decode::{Layout, Raster, check_size, widened};
use crate::fault::{Fault, Result};
use image::metadata::Orientation;
use mozjpeg::{ColorSpace, Decompress, Marker, decompress::DecompressBuilder};
use mozjpeg_sys::{jpeg_common_struct, jpeg_error_mgr};
use std::{io, os::raw::c_int, panic};

const MARKERS: &[Marker] = &[Marker::APP(1), Marker::APP(2)];
const EXIF: &[u8] = b"Exif\0\0";
const ICC: &[u8] = b"ICC_PROFILE\0";

/// Decodes a JPEG. `target` is the height and width of the upright result: where the image is at least two,
/// four or eight times as large, it is decoded at that part of its size.
pub fn decode(bytes: &[u8], target: Option<(usize, usize)>) -> Result<Raster> {
    // libjpeg's errors, and warnings here, are unwound without a message of a panic.
    panic::catch_unwind(|| decode_or_unwind(bytes, target)).unwrap_or_else(|thrown| {
        let reason = thrown.downcast_ref::<String>().map_or("an error of libjpeg", String::as_str);
        Err(Fault::new("E_IMG_TRUNCATED", format!("damaged or cut short: {reason}")))
    })
}

fn decode_or_unwind(bytes: &[u8], target: Option<(usize, usize)>) -> Result<Raster> {
    let bad = |error: io::Error| Fault::new("E_IMG_TRUNCATED", format!("damaged or cut short: {error}"));
    let builder = DecompressBuilder::new().with_markers(MARKERS).with_err(strict_errors());
    let mut jpeg = builder.from_mem(bytes).map_err(bad)?;
    let (width, height) = jpeg.size();
    check_size(width, height)?;
    let orientation = orientation(&jpeg);
    let icc = profile(&jpeg);
    let part = target.map_or(1, |target| part_of(width, height, target, orientation));
    jpeg.scale(8 / part as u8);
    let (layout, space) = match jpeg.color_space() {
        ColorSpace::JCS_GRAYSCALE => (Layout::Grey, ColorSpace::JCS_GRAYSCALE),
        ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK => (Layout::Cmyk, ColorSpace::JCS_CMYK),
        _ => (Layout::Rgb, ColorSpace::JCS_RGB),
    };
    let mut started = jpeg.to_colorspace(space).map_err(bad)?;
    let row = started.width() * layout.bands();
    let mut data: Vec<u8> = started.read_scanlines().map_err(bad)?;
    started.finish().map_err(bad)?;
    // What a last part of a block becomes is not kept.
    let (width, height) = (width / part, height / part);
    data =
        data.chunks_exact(row).take(height).flat_map(|row| &row[..width * layout.bands()]).copied().collect();
    if layout == Layout::Cmyk {
        // Files have the light that inks leave.
        data.iter_mut().for_each(|ink| *ink = 255 - *ink);
    }
    Ok(Raster { height, width, layout, data: widened(&data), is_deep: false, icc, orientation })
}

/// 8, 4, 2 or 1: how many times the image can be decoded smaller and stay larger than the target.
fn part_of(
    width: usize,
    height: usize,
    (target_height, target_width): (usize, usize),
    orientation: u8,
) -> usize {
    let is_turned = orientation >= 5;
    let (h, w) = if is_turned { (target_width, target_height) } else { (target_height, target_width) };
    let factor = (width as f64 / w as f64).min(height as f64 / h as f64);
    let part = [8, 4, 2].into_iter().find(|&part| factor >= part as f64).unwrap_or(1);
    if part > 1 && factor.floor() == part as f64 { part / 2 } else { part }
}

fn orientation(jpeg: &Decompress<&[u8]>) -> u8 {
    let exif = jpeg.markers().find_map(|found| found.data.strip_prefix(EXIF));
    exif.and_then(Orientation::from_exif_chunk).map_or(1, Orientation::to_exif)
}

/// The parts of an ICC profile, joined: each begins with its number and how many there are.
fn profile(jpeg: &Decompress<&[u8]>) -> Option<Vec<u8>> {
    let found = jpeg.markers().filter_map(|found| found.data.strip_prefix(ICC));
    let mut parts: Vec<&[u8]> = found.filter(|part| part.len() > 2).collect();
    parts.sort_by_key(|part| part[0]);
    (!parts.is_empty()).then(|| parts.iter().flat_map(|part| &part[2..]).copied().collect())
}

/// Errors of libjpeg end the decoding by unwinding, and so do its warnings: data that is damaged or cut.
fn strict_errors() -> jpeg_error_mgr {
    // SAFETY: the struct holds integers and pointers, for which zeros are values, and jpeg_std_error fills
    // it.
    let mut errors = unsafe {
        let mut errors = std::mem::zeroed();
        mozjpeg_sys::jpeg_std_error(&mut errors);
        errors
    };
    errors.error_exit = Some(unwind);
    errors.emit_message = Some(unwind_at_warning);
    errors
}

extern "C-unwind" fn unwind(jpeg: &mut jpeg_common_struct) {
    // SAFETY: libjpeg calls this with the manager of errors in place.
    let code = unsafe { (*jpeg.err).msg_code };
    panic::resume_unwind(Box::new(format!("libjpeg's message {code}")));
}

extern "C-unwind" fn unwind_at_warning(jpeg: &mut jpeg_common_struct, level: c_int) {
    if level < 0 {
        unwind(jpeg);
    }
}
