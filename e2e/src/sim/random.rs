//! The simulator's only source of chance: xorshift64*, equal on every machine.

/// A seeded generator.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Of a seed.
    pub const fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }
    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
    /// 0..n; n > 0.
    pub const fn below(&mut self, n: u64) -> u64 {
        (self.bits() >> 16) % n
    }
    /// One of `0..n`; `None` when there is none.
    pub const fn index(&mut self, n: usize) -> Option<usize> {
        if n == 0 { None } else { Some(self.below(n as u64) as usize) }
    }
    /// True in so many of a hundred.
    pub const fn percent(&mut self, of_hundred: u64) -> bool {
        self.below(100) < of_hundred
    }
}
