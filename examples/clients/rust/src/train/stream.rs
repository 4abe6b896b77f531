//! All randomness of a run (CONTRACT.md, "Random streams"): Philox4x32-10 of Salmon et al., SC 2011.

/// Numbers named by (seed, purpose, time, index), from the first on.
pub struct Stream {
    key: [u32; 2],
    counter: [u32; 4],
    block: [u32; 4],
    used: usize,
}

impl Stream {
    pub fn new(seed: u64, purpose: &str, time: u32, index: u32) -> Self {
        let counter = [0, index, time, hash(purpose)];
        Self { key: [seed as u32, (seed >> 32) as u32], counter, block: [0; 4], used: 4 }
    }

    /// The next 32 bits.
    pub fn word(&mut self) -> u32 {
        if self.used == 4 {
            self.block = philox(self.counter, self.key);
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    /// The next number in [0, 1), of two words.
    pub fn uniform(&mut self) -> f64 {
        let (x, y) = (self.word() >> 5, self.word() >> 6);
        (f64::from(x) * f64::from(1 << 26) + f64::from(y)) / (1u64 << 53) as f64
    }

    /// The next normal number, of two uniform ones.
    pub fn normal(&mut self) -> f64 {
        let (u, v) = (self.uniform(), self.uniform());
        (-2.0 * (1.0 - u).ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
    }

    /// The next whole number from 0 to `end` - 1.
    pub fn below(&mut self, end: usize) -> usize {
        (self.uniform() * end as f64) as usize
    }
}

/// FNV-1a of a text in UTF-16, little-endian.
fn hash(text: &str) -> u32 {
    let bytes = text.encode_utf16().flat_map(u16::to_le_bytes);
    bytes.fold(0x811C_9DC5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let left = u64::from(counter[0]) * 0xD251_1F53;
        let right = u64::from(counter[2]) * 0xCD9E_8D57;
        counter = [
            (right >> 32) as u32 ^ counter[1] ^ key[0],
            right as u32,
            (left >> 32) as u32 ^ counter[3] ^ key[1],
            left as u32,
        ];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}
