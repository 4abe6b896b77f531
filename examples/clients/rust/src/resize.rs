//! The resize of training, to the bit: sharp 0.35 with fit "fill", which is libvips 8.18's. Fewer pixels: a
//! box of whole pixels, then Lanczos 3 in 64ths of a pixel with weights of 12 bits; more: Catmull-Rom.

use crate::decode::Raster;

/// Binary places of weights.
const BITS: u32 = 12;
const ONE: f64 = (1 << BITS) as f64;
const HALF: i32 = 1 << (BITS - 1);
/// Places of a reduction are added up; of rows anew every ten, as libvips cuts images into strips.
const STRIP: usize = 10;

/// Numbers [outer, length, inner] of an image: rows are the middle of [1, H, W C], columns of [H, W, C].
struct Axis {
    outer: usize,
    length: usize,
    inner: usize,
}

impl Axis {
    /// The same image with another length; `fill(o, j, row)` fills row j of `out`.
    fn map<T: Clone + Default>(&self, length: usize, mut fill: impl FnMut(usize, usize, &mut [T])) -> Vec<T> {
        let mut out = vec![T::default(); self.outer * length * self.inner];
        for (at, row) in out.chunks_exact_mut(self.inner).enumerate() {
            fill(at / length, at % length, row);
        }
        out
    }

    /// Row j of an image, the nearest that exists.
    fn row<'a, T>(&self, image: &'a [T], o: usize, j: i64) -> &'a [T] {
        let j = j.clamp(0, self.length as i64 - 1) as usize;
        &image[(o * self.length + j) * self.inner..][..self.inner]
    }

    /// For each j of `taps` the sum of the rows from its first on, by its weights; not rounded to bytes.
    fn weigh(&self, image: &[i32], taps: &[(i64, Vec<i32>)], finish: impl Fn(i32) -> i32) -> Vec<i32> {
        self.map(taps.len(), |o, j, out| {
            let (first, weights) = &taps[j];
            for (i, weight) in weights.iter().enumerate() {
                let row = self.row(image, o, first + i as i64);
                out.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
            }
            out.iter_mut().for_each(|sum| *sum = finish((*sum + HALF) >> BITS));
        })
    }
}

/// Brings an image to another size.
pub fn resize(image: Raster, height: usize, width: usize) -> Raster {
    let (h, w, channels) = (image.height, image.width, image.layout.bands());
    if (h, w) == (height, width) {
        return image;
    }
    let most = image.most() as i32;
    let mut numbers: Vec<i32> = image.data.iter().map(|&number| number.into()).collect();
    let (mut rows, mut columns) = (h, w);
    if height < rows {
        let axis = Axis { outer: 1, length: rows, inner: columns * channels };
        numbers = reduce(numbers, axis, height, STRIP, most);
        rows = height;
    }
    if width < columns {
        let axis = Axis { outer: rows, length: columns, inner: channels };
        numbers = reduce(numbers, axis, width, width, most);
        columns = width;
    }
    if width > columns || height > rows {
        let across = Axis { outer: rows, length: columns, inner: channels };
        let down = Axis { outer: 1, length: rows, inner: width * channels };
        numbers = if image.is_deep {
            let exact: Vec<f64> = numbers.iter().map(|&number| number.into()).collect();
            let exact = enlarge_deep(&enlarge_deep(&exact, &across, width), &down, height);
            exact.into_iter().map(|number| number as i32).collect()
        } else {
            enlarge(&enlarge(&numbers, &across, width), &down, height)
        };
    }
    let data = numbers.into_iter().map(|number| number.clamp(0, most) as u16).collect();
    Raster { height, width, data, ..image }
}

/// Means of k rows; the last row is repeated until k divides them.
fn shrink(image: &[i32], axis: &Axis, k: usize, most: i32) -> Vec<i32> {
    // Of bytes the division is a product in 24 binary places.
    let scale = (1 << 24) / k as u64;
    let mean = |sum: u64| if most == 255 { (sum * scale) >> 24 } else { sum / k as u64 };
    axis.map(axis.length.div_ceil(k), |o, j, out| {
        let mut sums = vec![k as u64 / 2; axis.inner];
        for i in 0..k {
            let row = axis.row(image, o, (j * k + i) as i64);
            sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += value as u64);
        }
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out = mean(sum) as i32);
    })
}

fn reduce(mut image: Vec<i32>, mut axis: Axis, size: usize, run: usize, most: i32) -> Vec<i32> {
    let n = axis.length;
    let k = (n / (2 * size)).max(1);
    if k > 1 {
        image = shrink(&image, &axis, k, most);
        axis.length = n.div_ceil(k);
    }
    if n == k * size {
        return image;
    }
    let factor = 1.0 / (1.0 / (n as f64 / size as f64));
    let s = factor / k as f64;
    let outside = (size as f64 * factor - n as f64) / k as f64;
    let half = (3.0 * s).round_ties_even() as i64;
    let mut place = 0.0;
    let taps = (0..size).map(|j| {
        let start = (j as f64 + 0.5) * s - 0.5 - ((1.0 + outside) / 2.0 - 1.0);
        place = if j % run == 0 { start } else { place + s };
        let (first, part) = in_64ths((place * 128.0) as i64);
        (first - half, lanczos(part + half as f64 - 0.5, s, 2 * half + 1))
    });
    axis.weigh(&image, &taps.collect::<Vec<_>>(), |sum| sum.clamp(0, most))
}

/// The first of four pixels round the place of row j, and their weights (Catmull-Rom).
fn cubic(j: usize, axis: &Axis, size: usize) -> (i64, [f64; 4]) {
    let (first, x) = in_64ths((j * axis.length * 128 / size) as i64 - 64);
    let weights = [
        -x * (1.0 - x).powi(2) / 2.0,
        (1.0 - x) * (1.0 + x - 1.5 * x * x),
        x * (0.5 + 2.0 * x - 1.5 * x * x),
        -x * x * (1.0 - x) / 2.0,
    ];
    (first - 1, weights)
}

fn enlarge(image: &[i32], axis: &Axis, size: usize) -> Vec<i32> {
    let taps = (0..size).map(|j| {
        let (first, weights) = cubic(j, axis, size);
        (first, weights.iter().map(|weight| (ONE * weight) as i32).collect())
    });
    // A number may leave the range of bytes until both axes are done.
    axis.weigh(image, &taps.collect::<Vec<_>>(), |sum| sum)
}

/// Of 16 bits nothing is rounded before both axes are done.
fn enlarge_deep(image: &[f64], axis: &Axis, size: usize) -> Vec<f64> {
    axis.map(size, |o, j, out| {
        let (first, weights) = cubic(j, axis, size);
        for (i, weight) in weights.iter().enumerate() {
            let row = axis.row(image, o, first + i as i64);
            out.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
        }
    })
}

/// The pixel of a place in 128ths, and the part behind it in whole 64ths.
fn in_64ths(place: i64) -> (i64, f64) {
    (place >> 7, (((place & 127) + 1) >> 1) as f64 / 64.0)
}

/// Weights of `count` pixels round `centre`, s times as wide as the filter, rounded towards zero.
fn lanczos(centre: f64, s: f64, count: i64) -> Vec<i32> {
    let sinc =
        |x: f64| if x == 0.0 { 1.0 } else { (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) };
    let filter = |x: f64| if x.abs() <= 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 };
    let weights: Vec<f64> = (0..count).map(|i| filter((i as f64 - centre) * (1.0 / s))).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| (ONE * (weight / sum)) as i32).collect()
}
