//! Colours of an image file -> sRGB or grey, as training has them (docs/predict.md, "How images are read").
use crate::check::Checked;
use crate::decode::{Layout, Raster, widened};
use crate::fault::Result;
use base64::{Engine, engine::general_purpose::STANDARD};
use lcms2::{CIEXYZ, ColorSpaceSignature, Intent, PixelFormat, Profile, ProfileClassSignature};
use lcms2::{Tag, TagSignature, ToneCurve, Transform};

/// RGB of CMYK without a profile, at 0, 64, 128, 191 and 255 of each ink: [5,5,5,5,3].
pub type CmykGrid = Vec<u8>;
const STEPS: usize = 5;
/// lcms2.h: LCMS_USED_AS_INPUT.
const USED_AS_INPUT: u32 = 0;
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
    let profiled =
        image.icc.as_deref().and_then(|icc| by_profile(icc, &colours, image.layout, image.is_deep));
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

fn split_alpha(image: &Raster) -> (Vec<u16>, Option<Vec<u16>>) {
    let (bands, colours) = (image.layout.bands(), image.layout.colours());
    if bands == colours {
        return (image.data.clone(), None);
    }
    let pixels = image.data.chunks_exact(bands);
    let alpha = pixels.clone().map(|pixel| pixel[colours]).collect();
    (pixels.flat_map(|pixel| pixel[..colours].iter().copied()).collect(), Some(alpha))
}

/// Where red, green and blue lie in XYZ (D50), as the profiles state it that training uses.
const SRGB: [[f64; 3]; 3] = [
    [0.43603515625, 0.222442626953125, 0.0139007568359375],
    [0.385101318359375, 0.7169342041015625, 0.097076416015625],
    [0.14306640625, 0.0606231689453125, 0.71392822265625],
];
const DISPLAY_P3: [[f64; 3]; 3] = [
    [0.5151214599609375, 0.2411956787109375, 0.0],
    [0.2919769287109375, 0.6922454833984375, 0.0418243408203125],
    [0.1571044921875, 0.066558837890625, 0.7830810546875],
];
const D50: [f64; 3] = [0.964202880859375, 1.0, 0.8249053955078125];
/// sRGB's curve (IEC 61966-2-1) in 65536ths, as a profile holds it.
const CURVE: [f64; 5] = [157289.0, 62119.0, 3417.0, 5072.0, 2651.0];

/// A display profile with those primaries and sRGB's curve.
fn display_profile(primaries: [[f64; 3]; 3]) -> Option<Profile> {
    let curve = ToneCurve::new_parametric(4, &CURVE.map(|number| number / 65_536.0)).ok()?;
    let mut profile = Profile::new_placeholder();
    profile.set_version(4.2);
    profile.set_device_class(ProfileClassSignature::DisplayClass);
    profile.set_color_space(ColorSpaceSignature::RgbData);
    profile.set_pcs(ColorSpaceSignature::XYZData);
    let xyz = |[x, y, z]: [f64; 3]| CIEXYZ { X: x, Y: y, Z: z };
    let mut write = |signature, place| profile.write_tag(signature, Tag::CIEXYZ(&xyz(place)));
    let mut is_whole = write(TagSignature::MediaWhitePointTag, D50);
    is_whole &= write(TagSignature::RedColorantTag, primaries[0]);
    is_whole &= write(TagSignature::GreenColorantTag, primaries[1]);
    is_whole &= write(TagSignature::BlueColorantTag, primaries[2]);
    for signature in [TagSignature::RedTRCTag, TagSignature::GreenTRCTag, TagSignature::BlueTRCTag] {
        is_whole &= profile.write_tag(signature, Tag::ToneCurve(&curve));
    }
    is_whole.then_some(profile)
}

/// RGB by an ICC profile, perceptual; none where the profile is damaged or of other colours: it is ignored
/// then.
fn by_profile(icc: &[u8], colours: &[u16], layout: Layout, is_deep: bool) -> Option<Vec<u16>> {
    let source = Profile::new_icc(icc).ok()?;
    let (from, space) = match (layout.colours(), is_deep) {
        (1, false) => (PixelFormat::GRAY_8, ColorSpaceSignature::GrayData),
        (1, true) => (PixelFormat::GRAY_16, ColorSpaceSignature::GrayData),
        (3, false) => (PixelFormat::RGB_8, ColorSpaceSignature::RgbData),
        (3, true) => (PixelFormat::RGB_16, ColorSpaceSignature::RgbData),
        _ => (PixelFormat::CMYK_8, ColorSpaceSignature::CmykData),
    };
    if source.color_space() != space {
        return None;
    }
    let perceptual = source.is_intent_supported(Intent::Perceptual, USED_AS_INPUT);
    let intent = if perceptual { Intent::Perceptual } else { source.header_rendering_intent() };
    // 16 bits of RGB become Display P3, not sRGB: so training has it.
    let (target, to) = if is_deep { (DISPLAY_P3, PixelFormat::RGB_16) } else { (SRGB, PixelFormat::RGB_8) };
    let convert = Transform::<u8, u8>::new(&source, from, &display_profile(target)?, to, intent).ok()?;
    let pixels = colours.len() / layout.colours();
    if !is_deep {
        let bytes: Vec<u8> = colours.iter().map(|&number| number as u8).collect();
        let mut rgb = vec![0; pixels * 3];
        convert.transform_pixels(&bytes, &mut rgb);
        return Some(widened(&rgb));
    }
    let bytes: Vec<u8> = colours.iter().flat_map(|number| number.to_ne_bytes()).collect();
    let mut rgb = vec![0; pixels * 6];
    convert.transform_pixels(&bytes, &mut rgb);
    Some(rgb.as_chunks::<2>().0.iter().map(|pair| u16::from_ne_bytes(*pair)).collect())
}

/// Linear between the colours of the grid.
fn by_grid(inks: &[u16], grid: Option<&CmykGrid>) -> Result<Vec<u16>> {
    let refusal =
        || crate::Fault::new("E_IMG_FORMAT", "CMYK without a profile: the model does not say its colours");
    let grid = grid.ok_or_else(refusal)?;
    Ok(inks.chunks_exact(4).flat_map(|pixel| mixed(pixel, grid)).collect())
}

fn mixed(pixel: &[u16], grid: &CmykGrid) -> [u16; 3] {
    let low: Vec<usize> = pixel.iter().map(|&ink| (ink as usize / 64).min(STEPS - 2)).collect();
    let part: Vec<f64> = pixel.iter().zip(&low).map(|(&ink, &low)| ink as f64 / 63.75 - low as f64).collect();
    let mut rgb = [0.0; 3];
    for corner in 0..16 {
        let up = |ink: usize| corner >> ink & 1;
        let weight: f64 = (0..4).map(|ink| if up(ink) == 1 { part[ink] } else { 1.0 - part[ink] }).product();
        let at = (0..4).fold(0, |at, ink| at * STEPS + low[ink] + up(ink)) * 3;
        rgb.iter_mut().zip(&grid[at..]).for_each(|(sum, &value)| *sum += weight * value as f64);
    }
    rgb.map(|value: f64| value.round_ties_even() as u16)
}

/// Lays transparent pixels onto white.
pub fn onto_white(image: Raster) -> Raster {
    let (bands, colours) = (image.layout.bands(), image.layout.colours());
    if bands == colours {
        return image;
    }
    let most = u64::from(image.most());
    let blend = |value: u16, alpha: u16| {
        let (value, alpha) = (u64::from(value), u64::from(alpha));
        ((value * alpha + most * (most - alpha)) / most) as u16
    };
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
    // Through 8 bits, as in training.
    let image = image.shallow();
    let linear = |f: f32| if f <= 0.04045 { f / 12.92 } else { ((f + 0.055) / 1.055).powf(2.4) };
    let gamma = |f: f32| if f <= 0.0031308 { 12.92 * f } else { 1.055 * f.powf(1.0 / 2.4) - 0.055 };
    let light: Vec<f32> = (0..256).map(|v| linear(v as f32 / 255.0)).collect();
    let curve: Vec<f32> =
        (0..=256).map(|i| (255.0 * gamma(i.min(255) as f32 / 255.0)).round_ties_even()).collect();
    let grey = |pixel: &[u16]| {
        let [r, g, b] = [0, 1, 2].map(|band| light[pixel[band] as usize]);
        let place = (255.0 * (0.2126 * r + 0.7152 * g + 0.0722 * b)).clamp(0.0, 255.0);
        let i = place as usize;
        (curve[i] + (curve[i + 1] - curve[i]) * (place - i as f32)).round_ties_even() as u16
    };
    Raster { data: image.data.chunks_exact(3).map(grey).collect(), layout: Layout::Grey, ..image }
}
