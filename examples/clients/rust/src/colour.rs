//! Colours of an image file -> sRGB or grey, as training has them (docs/predict.md, "How images are read").
use crate::check::Checked;
use crate::decode::{Layout, Raster};
use crate::fault::Result;
use base64::{Engine, engine::general_purpose::STANDARD};
use lcms2::{ColorSpaceSignature, Intent, PixelFormat, Profile, Transform};

/// RGB of CMYK without a profile, at 0, 64, 128, 191 and 255 of each ink: [5,5,5,5,3].
pub type CmykGrid = Vec<u8>;
const STEPS: usize = 5;
const GRID: usize = STEPS * STEPS * STEPS * STEPS * 3;

/// The grid out of a model's metadata.
pub fn cmyk_grid(entry: &Checked) -> Result<CmykGrid> {
    let grid = STANDARD.decode(entry.text()?).ok().filter(|grid| grid.len() == GRID);
    grid.ok_or_else(|| entry.refuse(&format!("{GRID} bytes in base64")))
}

/// Brings colours to sRGB: by the image's profile where it has one that fits, CMYK without one by the grid.
/// Grey without a profile stays grey; alpha stays beside the colours.
pub fn to_srgb(image: Raster, grid: Option<&CmykGrid>) -> Result<Raster> {
    let (colours, alpha) = split_alpha(&image);
    let profiled = image.icc.as_deref().and_then(|icc| by_profile(icc, &colours, image.layout));
    let (colours, bands) = match (profiled, image.layout) {
        (Some(rgb), _) => (rgb, 3),
        (None, Layout::Cmyk) => (by_grid(&colours, grid)?, 3),
        (None, layout) => (colours, layout.colours()),
    };
    let layout = match (bands, alpha.is_some()) {
        (1, false) => Layout::Grey,
        (1, true) => Layout::GreyAlpha,
        (_, false) => Layout::Rgb,
        (_, true) => Layout::RgbAlpha,
    };
    let data = match alpha {
        Some(alpha) => {
            colours.chunks(bands).zip(alpha).flat_map(|(c, a)| c.iter().copied().chain([a])).collect()
        }
        None => colours,
    };
    Ok(Raster { data, layout, icc: None, ..image })
}

fn split_alpha(image: &Raster) -> (Vec<u8>, Option<Vec<u8>>) {
    let (bands, colours) = (image.layout.bands(), image.layout.colours());
    if bands == colours {
        return (image.data.clone(), None);
    }
    let pixels = image.data.chunks_exact(bands);
    let alpha = pixels.clone().map(|pixel| pixel[colours]).collect();
    (pixels.flat_map(|pixel| pixel[..colours].iter().copied()).collect(), Some(alpha))
}

/// uint8 RGB by an ICC profile, perceptual; none where the profile is damaged or of other colours: it is
/// ignored then.
fn by_profile(icc: &[u8], colours: &[u8], layout: Layout) -> Option<Vec<u8>> {
    let profile = Profile::new_icc(icc).ok()?;
    let srgb = Profile::new_srgb();
    let mut rgb = vec![[0u8; 3]; colours.len() / layout.colours()];
    let rgb8 = PixelFormat::RGB_8;
    match (profile.color_space(), layout.colours()) {
        (ColorSpaceSignature::RgbData, 3) => {
            let convert = Transform::new(&profile, rgb8, &srgb, rgb8, Intent::Perceptual).ok()?;
            convert.transform_pixels(colours.as_chunks::<3>().0, &mut rgb);
        }
        (ColorSpaceSignature::GrayData, 1) => {
            let convert =
                Transform::new(&profile, PixelFormat::GRAY_8, &srgb, rgb8, Intent::Perceptual).ok()?;
            convert.transform_pixels(colours, &mut rgb);
        }
        (ColorSpaceSignature::CmykData, 4) => {
            let convert =
                Transform::new(&profile, PixelFormat::CMYK_8, &srgb, rgb8, Intent::Perceptual).ok()?;
            convert.transform_pixels(colours.as_chunks::<4>().0, &mut rgb);
        }
        _ => return None,
    }
    Some(rgb.into_flattened())
}

/// Linear between the colours of the grid.
fn by_grid(inks: &[u8], grid: Option<&CmykGrid>) -> Result<Vec<u8>> {
    let refusal =
        || crate::Fault::new("E_IMG_FORMAT", "CMYK without a profile: the model does not say its colours");
    let grid = grid.ok_or_else(refusal)?;
    Ok(inks.chunks_exact(4).flat_map(|pixel| mixed(pixel, grid)).collect())
}

fn mixed(pixel: &[u8], grid: &CmykGrid) -> [u8; 3] {
    let low: Vec<usize> = pixel.iter().map(|&ink| (ink as usize / 64).min(STEPS - 2)).collect();
    let part: Vec<f64> = pixel.iter().zip(&low).map(|(&ink, &low)| ink as f64 / 63.75 - low as f64).collect();
    let mut rgb = [0.0; 3];
    for corner in 0..16 {
        let up = |ink: usize| corner >> ink & 1;
        let weight: f64 = (0..4).map(|ink| if up(ink) == 1 { part[ink] } else { 1.0 - part[ink] }).product();
        let at = (0..4).fold(0, |at, ink| at * STEPS + low[ink] + up(ink)) * 3;
        rgb.iter_mut().zip(&grid[at..]).for_each(|(sum, &value)| *sum += weight * value as f64);
    }
    rgb.map(|value: f64| value.round_ties_even() as u8)
}

/// Lays transparent pixels onto white.
pub fn onto_white(image: Raster) -> Raster {
    let (bands, colours) = (image.layout.bands(), image.layout.colours());
    if bands == colours {
        return image;
    }
    let blend =
        |value: u8, alpha: u8| ((value as u32 * alpha as u32 + 255 * (255 - alpha as u32)) / 255) as u8;
    let pixels = image.data.chunks_exact(bands);
    let data =
        pixels.flat_map(|pixel| pixel[..colours].iter().map(|&value| blend(value, pixel[colours]))).collect();
    let layout = if colours == 1 { Layout::Grey } else { Layout::Rgb };
    Raster { data, layout, ..image }
}

/// Luminance of linear light (BT.709 weights) back in sRGB's curve, through libvips's table of 256 steps.
/// Grey stays.
pub fn to_grey(image: Raster) -> Raster {
    if image.layout != Layout::Rgb {
        return image;
    }
    let linear = |f: f32| if f <= 0.04045 { f / 12.92 } else { ((f + 0.055) / 1.055).powf(2.4) };
    let gamma = |f: f32| if f <= 0.0031308 { 12.92 * f } else { 1.055 * f.powf(1.0 / 2.4) - 0.055 };
    let light: Vec<f32> = (0..256).map(|v| linear(v as f32 / 255.0)).collect();
    let curve: Vec<f32> =
        (0..=256).map(|i| (255.0 * gamma(i.min(255) as f32 / 255.0)).round_ties_even()).collect();
    let grey = |pixel: &[u8]| {
        let [r, g, b] = [0, 1, 2].map(|band| light[pixel[band] as usize]);
        let place = (255.0 * (0.2126 * r + 0.7152 * g + 0.0722 * b)).clamp(0.0, 255.0);
        let i = place as usize;
        (curve[i] + (curve[i + 1] - curve[i]) * (place - i as f32)).round_ties_even() as u8
    };
    Raster { data: image.data.chunks_exact(3).map(grey).collect(), layout: Layout::Grey, ..image }
}
