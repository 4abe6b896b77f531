//! What is drawn to augment an image (CONTRACT.md, "Augmentation").
use super::stream::Stream;
use std::f64::consts::TAU;

/// An operation of augmentation.
#[derive(Debug, Clone)]
pub struct Operation {
    pub name: String,
    pub strength: f64,
    /// Name of the stream that it draws from.
    pub stream: String,
}

/// The operations that are known.
pub const OPERATIONS: [&str; 20] = [
    "flip_left_right",
    "flip_up_down",
    "rot90",
    "shear",
    "zoom_scale",
    "center_zoom_scale",
    "solarize",
    "jitter",
    "brightness_delta",
    "contrast_delta",
    "saturation_delta",
    "hue_delta",
    "gaussian_blur",
    "gaussian_noise",
    "autocontrast",
    "drop_color",
    "sobel_prob",
    "jpeg_degrade",
    "mask",
    "pixel_mask",
];

/// The columns of an operation for the image at place `index` of an epoch; H and W are the images'.
pub fn columns(operation: &Operation, stream: Stream, (height, width): (usize, usize)) -> Vec<f64> {
    let (q, h, w) = (operation.strength, height as f64, width as f64);
    let mut draw = Draw(stream);
    match operation.name.as_str() {
        "flip_left_right" | "flip_up_down" => vec![flag(draw.uniform() < 0.5)],
        "rot90" => {
            let turns = draw.integer(0.0, 4.0) as u8;
            vec![f64::from(turns % 2), flag(turns == 1 || turns == 2), flag(turns >= 2)]
        }
        "shear" => vec![draw.between(-q, q), draw.between(-q, q)],
        "zoom_scale" => (0..100).find_map(|_| draw.crop(q, h, w)).unwrap_or(vec![0.0, 0.0, h, w]),
        "center_zoom_scale" => vec![draw.between(0.0, (1.0 - q) / 2.0)],
        "solarize" => vec![if draw.chance(q) { draw.uniform() } else { 1e9 }],
        "jitter" => draw.jitter(q),
        "brightness_delta" | "contrast_delta" | "saturation_delta" => vec![draw.factor(q)],
        "hue_delta" => vec![draw.between(-q, q)],
        "gaussian_blur" => vec![if draw.chance(q) { draw.between(0.1, 2.0) } else { 0.01 }],
        "gaussian_noise" if draw.chance(q) => draw.noise(0.1, w),
        "gaussian_noise" => vec![0.0; 4],
        "autocontrast" | "drop_color" | "sobel_prob" => vec![flag(draw.chance(q))],
        "jpeg_degrade" if draw.chance(q) => vec![1.0, flag(draw.chance(q))],
        "jpeg_degrade" => vec![0.0; 2],
        "mask" if draw.chance(q) => draw.rectangle(h, w),
        "mask" => vec![0.0; 4],
        "pixel_mask" if draw.chance(q) => [draw.noise(1.0, w), vec![0.5244005127080407]].concat(),
        "pixel_mask" => vec![0.0, 0.0, 0.0, 0.0, -1.0],
        other => unreachable!("the bundle was checked: {other}"),
    }
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

struct Draw(Stream);

impl Draw {
    fn uniform(&mut self) -> f64 {
        self.0.uniform()
    }

    fn chance(&mut self, q: f64) -> bool {
        self.uniform() < q
    }

    fn between(&mut self, start: f64, end: f64) -> f64 {
        start + self.uniform() * (end - start)
    }

    fn integer(&mut self, start: f64, end: f64) -> f64 {
        start + (self.uniform() * (end - start).max(0.0)).floor()
    }

    fn factor(&mut self, delta: f64) -> f64 {
        self.between((1.0 - delta).max(0.0), 1.0 + delta)
    }

    fn jitter(&mut self, q: f64) -> Vec<f64> {
        let mut order = [0.0, 1.0, 2.0, 3.0];
        for last in [3, 2, 1] {
            order.swap(last, self.integer(0.0, last as f64 + 1.0) as usize);
        }
        let factors = [0.8 * q; 3].map(|delta| self.factor(delta));
        [&order[..], &factors[..], &[self.between(-0.2 * q, 0.2 * q)]].concat()
    }

    fn noise(&mut self, deviation: f64, width: f64) -> Vec<f64> {
        let rows = [(); 2].map(|()| self.integer(0.0, (f64::from(1 << 19) / width).ceil()));
        let angle = self.between(0.0, TAU);
        vec![rows[0], rows[1], deviation * angle.cos(), deviation * angle.sin()]
    }

    fn rectangle(&mut self, height: f64, width: f64) -> Vec<f64> {
        let least = (height / 20.0).floor();
        let rows = self.integer(least, (height / 2.0).floor());
        let columns = self.integer(least, (width / 2.0).floor());
        let column = self.integer(0.0, width - columns);
        vec![self.integer(0.0, height - rows), column, rows, columns]
    }

    /// Row, column, height and width of a crop; none where it does not fit.
    fn crop(&mut self, q: f64, height: f64, width: f64) -> Option<Vec<f64>> {
        let round = |x: f64| (x + 0.5).floor();
        let aspect = self.between(3.0 / 4.0, 4.0 / 3.0) * (width / height);
        let area = height * width;
        let wide = |rows: f64| round(rows * aspect);
        let mut tall = round((area / aspect).sqrt());
        if wide(tall) > width {
            tall = ((width + 0.5) / aspect).floor();
        }
        if wide(tall) > width {
            tall -= 1.0;
        }
        tall = tall.min(height);
        let mut rows = self.integer(round((q * area / aspect).sqrt()).min(tall), tall + 1.0);
        if wide(rows) * rows < q * area {
            rows += 1.0;
        }
        if wide(rows) * rows > area {
            rows -= 1.0;
        }
        let columns = wide(rows);
        let fits = (1.0..=height).contains(&rows) && (1.0..=width).contains(&columns);
        if !fits || columns * rows < q * area || columns * rows > area {
            return None;
        }
        Some(vec![self.integer(0.0, height - rows), self.integer(0.0, width - columns), rows, columns])
    }
}
