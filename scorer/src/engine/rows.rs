//! Rows that come and go in blocks of 64, so that a question is put to a whole block at once and answered with a mask.
//!
//! Does not know what stands in a row: see `codes.rs` and `ceiling.rs`.

/// Rows of a block: the bits of a mask.
pub(super) const LANES: usize = 64;

/// 64 rows.
pub(super) trait Block {
    /// What stands in a row, besides the slot of its owner.
    type Row;
    /// Without any row.
    fn free() -> Self;
    /// Fills a row.
    fn set(&mut self, lane: usize, row: &Self::Row, slot: u32);
    /// Empties a row.
    fn clear(&mut self, lane: usize);
}

/// A row keeps its number while it is there.
#[derive(Debug)]
pub(super) struct Rows<B> {
    blocks: Vec<B>,
    free: Vec<u32>,
    len: usize,
}

impl<B> Default for Rows<B> {
    fn default() -> Self {
        Self { blocks: Vec::new(), free: Vec::new(), len: 0 }
    }
}

impl<B: Block> Rows<B> {
    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn blocks(&self) -> &[B] {
        &self.blocks
    }

    /// The block of a row, and its lane there.
    pub(super) fn block_mut(&mut self, row: u32) -> (&mut B, usize) {
        (&mut self.blocks[row as usize / LANES], row as usize % LANES)
    }

    /// Adds a row and gives its number.
    pub(super) fn insert(&mut self, row: &B::Row, slot: u32) -> u32 {
        if self.free.is_empty() {
            // Four thousand million rows do not fit in memory.
            let first = (self.blocks.len() * LANES) as u32;
            self.free.extend((first..first + LANES as u32).rev());
            self.blocks.push(B::free());
        }
        // Filled in the lines above if it was empty.
        let number = self.free.pop().expect("a free row");
        let (block, lane) = self.block_mut(number);
        block.set(lane, row, slot);
        self.len += 1;
        number
    }

    /// Takes away a row that is there.
    pub(super) fn remove(&mut self, number: u32) {
        let (block, lane) = self.block_mut(number);
        block.clear(lane);
        self.free.push(number);
        self.len -= 1;
    }
}

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

/// The set bits, ascending.
pub(super) fn lanes(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lane = mask.trailing_zeros() as usize;
        mask &= mask.wrapping_sub(1);
        (lane < LANES).then_some(lane)
    })
}

#[cfg(test)]
mod tests {
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
