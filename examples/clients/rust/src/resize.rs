//! The resize of training, to the bit: sharp 0.35 with fit "fill", which is libvips 8.18's. Fewer pixels: a
//! box of whole pixels, then Lanczos 3 in 64ths of a pixel with weights of 12 bits; more: Catmull-Rom.

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
    fn map(&self, length: usize, mut fill: impl FnMut(usize, usize, &mut [i32])) -> Vec<i32> {
        let mut out = vec![0; self.outer * length * self.inner];
        for (at, row) in out.chunks_exact_mut(self.inner).enumerate() {
            fill(at / length, at % length, row);
        }
        out
    }

    /// Row j of an image, the nearest that exists.
    fn row<'a>(&self, image: &'a [i32], o: usize, j: i64) -> &'a [i32] {
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

/// uint8 [H,W,C] -> [height,width,C].
pub fn resize(image: &[u8], (h, w, channels): (usize, usize, usize), height: usize, width: usize) -> Vec<u8> {
    if (h, w) == (height, width) {
        return image.to_vec();
    }
    let mut numbers: Vec<i32> = image.iter().map(|&byte| byte.into()).collect();
    let (mut rows, mut columns) = (h, w);
    if height < rows {
        numbers = reduce(numbers, Axis { outer: 1, length: rows, inner: columns * channels }, height, STRIP);
        rows = height;
    }
    if width < columns {
        numbers = reduce(numbers, Axis { outer: rows, length: columns, inner: channels }, width, width);
        columns = width;
    }
    if width > columns || height > rows {
        numbers = enlarge(&numbers, &Axis { outer: rows, length: columns, inner: channels }, width);
        numbers = enlarge(&numbers, &Axis { outer: 1, length: rows, inner: width * channels }, height);
    }
    numbers.into_iter().map(|number| number.clamp(0, 255) as u8).collect()
}

/// Means of k rows; the last row is repeated until k divides them.
fn shrink(image: &[i32], axis: &Axis, k: usize) -> Vec<i32> {
    let scale = (1 << 24) / k as u64;
    axis.map(axis.length.div_ceil(k), |o, j, out| {
        let mut sums = vec![k as u64 / 2; axis.inner];
        for i in 0..k {
            let row = axis.row(image, o, (j * k + i) as i64);
            sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += value as u64);
        }
        out.iter_mut().zip(sums).for_each(|(mean, sum)| *mean = ((sum * scale) >> 24) as i32);
    })
}

fn reduce(mut image: Vec<i32>, mut axis: Axis, size: usize, run: usize) -> Vec<i32> {
    let n = axis.length;
    let k = (n / (2 * size)).max(1);
    if k > 1 {
        image = shrink(&image, &axis, k);
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
    axis.weigh(&image, &taps.collect::<Vec<_>>(), |sum| sum.clamp(0, 255))
}

fn enlarge(image: &[i32], axis: &Axis, size: usize) -> Vec<i32> {
    let taps = (0..size).map(|j| {
        let (first, x) = in_64ths((j * axis.length * 128 / size) as i64 - 64);
        let weights = [
            -x * (1.0 - x).powi(2) / 2.0,
            (1.0 - x) * (1.0 + x - 1.5 * x * x),
            x * (0.5 + 2.0 * x - 1.5 * x * x),
            -x * x * (1.0 - x) / 2.0,
        ];
        (first - 1, weights.iter().map(|weight| (ONE * weight) as i32).collect())
    });
    // A number may leave the range of bytes until both axes are done.
    axis.weigh(image, &taps.collect::<Vec<_>>(), |sum| sum)
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
