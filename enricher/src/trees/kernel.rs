//! With which instructions a block of rows is evaluated. One answer, three ways to it: plain Rust, the same compiled for
//! AVX2, and AVX-512 by hand.

#[cfg(target_arch = "x86_64")]
mod x86;

use super::slices::{Block, Plain};

/// How it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// Everywhere.
    Portable,
    /// With the instructions of [`Kernel::avx2`]. Only that makes one.
    Avx2(Avx2),
    /// With the instructions of [`Kernel::avx512`]. Only that makes one.
    Avx512(Avx512),
}

/// Proof that this processor has AVX2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2(());

/// Proof that this processor has AVX-512 F and BW.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512(());

impl Kernel {
    /// The fastest that this processor has.
    pub fn best() -> Self {
        Self::avx512().or_else(Self::avx2).unwrap_or(Self::Portable)
    }

    /// `None` where the processor lacks AVX2.
    pub fn avx2() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            return Some(Self::Avx2(Avx2(())));
        }
        None
    }

    /// `None` where the processor lacks AVX-512 F or BW.
    pub fn avx512() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
            return Some(Self::Avx512(Avx512(())));
        }
        None
    }

    /// Up to how many rows a block of 64 costs more than each by itself: measured on the shipped model, whose 450 trees take
    /// 7.5 µs for a row, and for such a block 55, 47 and 27 µs.
    pub(super) fn few_rows(self) -> usize {
        match self {
            Self::Portable => 7,
            Self::Avx2(_) => 6,
            Self::Avx512(_) => 3,
        }
    }

    /// Evaluates a block.
    pub(super) fn run<const W: usize>(self, block: Block<'_>) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(proof) => x86::avx2::<W>(proof, block),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(proof) => x86::avx512::<W>(proof, block),
            _ => block.run::<W>(&Plain),
        }
    }
}
