//! The look at 64 sessions at once: which of them a listing's tables let through. One answer, two ways to it: plain Rust,
//! and AVX-512 where the processor has it.

#[cfg(target_arch = "x86_64")]
mod avx512;

use schemas::preferences::Profile;

use super::ceiling::{Best, Ceilings, OfferBlock, Seeker};
use super::clusters::{LANES, SPAN, lanes};
use super::lookup::{Ladder, Lookup, Versions};
use super::seats::{Block, Hit};

/// How it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// Everywhere.
    Portable,
    /// With the instructions of [`Kernel::avx512`]. Only that makes one.
    Avx512(Avx512),
}

/// Proof that this processor has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512(());

impl Kernel {
    /// The fastest that this processor has.
    pub fn best() -> Self {
        Self::avx512().unwrap_or(Self::Portable)
    }

    /// `None` where the processor lacks AVX-512 F, BW, DQ, VL or VBMI.
    pub fn avx512() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vbmi")
        {
            return Some(Self::Avx512(Avx512(())));
        }
        None
    }

    /// Tells of every listing of `near` (its number and its tables) which sessions of the blocks it may concern: whom no table
    /// refuses, and whose floor the sum reaches.
    pub(super) fn scan(self, blocks: &[Block], near: &[(u32, &Lookup)], hits: &mut Vec<Hit>) {
        match self {
            Self::Portable => scan(blocks, near, hits, concerned),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(proof) => avx512::scan(proof, blocks, near, hits),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx512(_) => scan(blocks, near, hits, concerned),
        }
    }

    /// See [`OfferBlock::offers`].
    pub(super) fn offers(self, block: &OfferBlock, seeker: &Seeker, floor: f32) -> Ceilings {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(proof) => avx512::offers(proof, block, seeker, floor),
            _ => block.offers(seeker, floor),
        }
    }

    /// See [`Best::most`].
    pub(super) fn most(self, best: &Best, seeker: &Seeker) -> [f32; SPAN] {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(proof) => avx512::most(proof, best, seeker),
            _ => best.most(seeker),
        }
    }

    /// See [`Lookup::offer`].
    pub(super) fn offer(self, lookup: &mut Lookup, versions: Versions<'_>, profile: Profile, ladder: &Ladder) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(proof) => avx512::offer(proof, lookup, versions, profile, ladder),
            _ => lookup.offer(versions, profile, ladder),
        }
    }
}

/// Each block is read once for all listings.
#[inline(always)]
fn scan(blocks: &[Block], near: &[(u32, &Lookup)], hits: &mut Vec<Hit>, concerned: impl Fn(&Block, &Lookup) -> u64) {
    for block in blocks {
        for &(listing, lookup) in near {
            let mask = concerned(block, lookup);
            if mask != 0 {
                hits.extend(lanes(mask).map(|lane| Hit { slot: block.slot[lane], listing }));
            }
        }
    }
}

/// Tells the processor that this is needed soon.
#[inline(always)]
pub(super) fn prefetch<T>(it: &T) {
    #[cfg(target_arch = "x86_64")]
    avx512::prefetch(it);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = it;
}

fn concerned(block: &Block, lookup: &Lookup) -> u64 {
    let mut mask = 0;
    for lane in 0..LANES {
        let parts = [
            lookup.budget[usize::from(block.budget[lane])],
            lookup.space[usize::from(block.space[lane] & 127)],
            lookup.commute[usize::from(block.commute[lane] & 127)],
            lookup.size[usize::from(block.size[lane] & 127)],
        ];
        let likes = block.likes.iter().map(|likes| lookup.likes[usize::from(likes[lane])]);
        let sum = parts.into_iter().chain(likes).fold(0_u8, u8::saturating_add);
        let must = lookup.must[usize::from(block.must[lane] & 127)];
        let passes = must != 0 && !parts.contains(&0) && sum >= block.floor[lane];
        mask |= u64::from(passes) << lane;
    }
    mask & block.open
}
