//! A question put to 64 rows at once, answered with a mask.

use super::clusters::LANES;

/// A byte per lane, 1 or 0: what the compiler keeps in vector registers.
pub(super) struct Keep([u8; LANES]);

impl Keep {
    pub(super) const fn all() -> Self {
        Self([1; LANES])
    }

    #[inline(always)]
    pub(super) fn only<T: Copy>(&mut self, column: &[T; LANES], test: impl Fn(T) -> bool) {
        for (keep, value) in self.0.iter_mut().zip(column) {
            *keep &= u8::from(test(*value));
        }
    }

    /// Bit i is lane i.
    pub(super) fn mask(&self) -> u64 {
        let (words, _) = self.0.as_chunks::<8>();
        words.iter().rev().fold(0, |mask, word| {
            // The product moves the lowest bit of byte i to bit 56 + i.
            let bits = u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56;
            mask << 8 | bits
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::clusters::lanes;
    use super::*;

    #[test]
    fn a_mask_has_the_bits_of_its_lanes() {
        for pattern in [0, 1, u64::MAX, 1 << 63, 0x8421_0f0f_1234_5678] {
            let keep = Keep(std::array::from_fn(|lane| u8::from(pattern >> lane & 1 == 1)));
            assert_eq!(keep.mask(), pattern, "{pattern:#x}");
            assert_eq!(lanes(pattern).fold(0, |mask, lane| mask | 1 << lane), pattern);
        }
    }
}
