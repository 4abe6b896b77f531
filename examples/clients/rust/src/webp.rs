//! WebPs by libwebp, as training reads them: at the model's size where the image is larger.
use crate::decode::{Layout, Raster, check_size, widened};
use crate::fault::{Fault, Result};
use image::ImageDecoder;
use image::codecs::webp::WebPDecoder;
use libwebp_sys as libwebp;
use std::io::Cursor;

/// Decodes a WebP. `target` is the height and width of the upright result: a larger image is decoded so
/// much smaller that one side is the target's. Animations are refused.
pub fn decode(bytes: &[u8], target: Option<(usize, usize)>) -> Result<Raster> {
    let refuse = |error: image::ImageError| Fault::new("E_IMG_FORMAT", error);
    let length = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize;
    if length + 8 > bytes.len() {
        return Err(Fault::new("E_IMG_TRUNCATED", "the image is cut short"));
    }
    // The header, profile and EXIF; libwebp itself reads pixels alone.
    let mut header = WebPDecoder::new(Cursor::new(bytes)).map_err(refuse)?;
    if header.has_animation() {
        return Err(Fault::new("E_IMG_FORMAT", "animations are not read"));
    }
    let (width, height) = header.dimensions();
    let (width, height) = (width as usize, height as usize);
    check_size(width, height)?;
    let layout = if header.color_type().has_alpha() { Layout::RgbAlpha } else { Layout::Rgb };
    let icc = header.icc_profile().map_err(refuse)?;
    let orientation = header.orientation().map_err(refuse)?.to_exif();
    let shrink = target.map_or(1.0, |(target_height, target_width)| {
        let is_turned = orientation >= 5;
        let (h, w) = if is_turned { (target_width, target_height) } else { (target_height, target_width) };
        (width as f64 / w as f64).min(height as f64 / h as f64).max(1.0)
    });
    let scaled = |side: usize| (side as f64 * (1.0 / shrink)).round_ties_even() as usize;
    let data = widened(&pixels(bytes, (width, height), (scaled(width), scaled(height)), layout)?);
    let (width, height) = (scaled(width), scaled(height));
    Ok(Raster { height, width, layout, data, is_deep: false, icc, orientation })
}

/// The pixels at a size, uint8.
fn pixels(
    bytes: &[u8],
    from: (usize, usize),
    (width, height): (usize, usize),
    layout: Layout,
) -> Result<Vec<u8>> {
    let refuse =
        |status| Fault::new("E_IMG_TRUNCATED", format!("damaged or cut short: libwebp's status {status}"));
    let row = width * layout.bands();
    let mut data = vec![0; row * height];
    let mut config = libwebp::WebPDecoderConfig::new().map_err(|()| refuse(0))?;
    config.output.colorspace = if layout == Layout::Rgb {
        libwebp::WEBP_CSP_MODE::MODE_RGB
    } else {
        libwebp::WEBP_CSP_MODE::MODE_RGBA
    };
    config.output.is_external_memory = 1;
    config.output.u.RGBA =
        libwebp::WebPRGBABuffer { rgba: data.as_mut_ptr(), stride: row as i32, size: data.len() };
    if from != (width, height) {
        config.options.use_scaling = 1;
        config.options.scaled_width = width as i32;
        config.options.scaled_height = height as i32;
    }
    // SAFETY: both slices outlive the call, and `data` has the bytes that `u.RGBA` says.
    let status = unsafe { libwebp::WebPDecode(bytes.as_ptr(), bytes.len(), &mut config) };
    if status == libwebp::VP8StatusCode::VP8_STATUS_OK { Ok(data) } else { Err(refuse(status as i32)) }
}
