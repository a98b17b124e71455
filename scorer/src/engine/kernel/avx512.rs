//! The look at 64 sessions in some thirty instructions: each table lies in two or four registers, and `vpermi2b` looks 64
//! codes up at once. All that is `unsafe` stands here, the hint to fetch a line too.

#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m512i, _MM_HINT_T0, _mm_prefetch, _mm512_adds_epu8, _mm512_cmpge_epu8_mask, _mm512_loadu_si512,
    _mm512_mask_blend_epi8, _mm512_movepi8_mask, _mm512_permutex2var_epi8, _mm512_test_epi8_mask,
};

use schemas::preferences::Profile;

use super::super::ceiling::{Best, Ceilings, OfferBlock, Seeker};
use super::super::clusters::SPAN;
use super::super::lookup::{Ladder, Lookup, Versions};
use super::super::seats::{Block, Hit};
use super::Avx512;

/// As `super::scan`.
pub(super) fn scan(_: Avx512, blocks: &[Block], near: &[(u32, &Lookup)], hits: &mut Vec<Hit>) {
    // SAFETY: an `Avx512` is made only where the processor was found to have the features.
    unsafe { scan_all(blocks, near, hits) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn scan_all(blocks: &[Block], near: &[(u32, &Lookup)], hits: &mut Vec<Hit>) {
    super::scan(blocks, near, hits, |block, lookup| look(block, lookup));
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn look(block: &Block, lookup: &Lookup) -> u64 {
    let budget = up_256(&lookup.budget, &block.budget);
    let space = up(&lookup.space, &block.space);
    let commute = up(&lookup.commute, &block.commute);
    let size = up(&lookup.size, &block.size);
    let passes = _mm512_test_epi8_mask(budget, budget)
        & _mm512_test_epi8_mask(space, space)
        & _mm512_test_epi8_mask(commute, commute)
        & _mm512_test_epi8_mask(size, size);
    let sum = _mm512_adds_epu8(_mm512_adds_epu8(budget, space), _mm512_adds_epu8(commute, size));
    let must = up(&lookup.must, &block.must);
    let passes = passes & _mm512_test_epi8_mask(must, must);
    let [one, other] = &block.likes;
    let likes = _mm512_adds_epu8(up_256(&lookup.likes, one), up_256(&lookup.likes, other));
    let sum = _mm512_adds_epu8(sum, likes);
    passes & _mm512_cmpge_epu8_mask(sum, load(&block.floor)) & block.open
}

/// Looks 64 codes up in the first 128 bytes of a table; the highest bit of a code does not count.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn up(table: &[u8], codes: &[u8; 64]) -> __m512i {
    let (pages, _) = table.as_chunks::<64>();
    _mm512_permutex2var_epi8(load(&pages[0]), load(codes), load(&pages[1]))
}

/// Looks 64 codes up in all 256 bytes of a table.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn up_256(table: &[u8; 256], codes: &[u8; 64]) -> __m512i {
    let [low, high] = [0, 128].map(|half| up(&table[half..], codes));
    _mm512_mask_blend_epi8(_mm512_movepi8_mask(load(codes)), low, high)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn load(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: 64 bytes are read where 64 bytes are, and the load asks for no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// Every line of the cache that it lies in.
#[inline(always)]
pub(super) fn prefetch<T>(it: &T) {
    let at = std::ptr::from_ref(it).cast::<i8>();
    for line in (0..size_of::<T>()).step_by(64) {
        // SAFETY: a hint, which every x86-64 has; it reads nothing and faults nowhere.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(line)) };
    }
}

/// As `OfferBlock::offers`.
pub(super) fn offers(_: Avx512, block: &OfferBlock, seeker: &Seeker, floor: f32) -> Ceilings {
    // SAFETY: as in `scan`.
    unsafe { offers_wide(block, seeker, floor) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")]
fn offers_wide(block: &OfferBlock, seeker: &Seeker, floor: f32) -> Ceilings {
    block.offers(seeker, floor)
}

/// As `Best::most`.
pub(super) fn most(_: Avx512, best: &Best, seeker: &Seeker) -> [f32; SPAN] {
    // SAFETY: as in `scan`.
    unsafe { most_wide(best, seeker) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")]
fn most_wide(best: &Best, seeker: &Seeker) -> [f32; SPAN] {
    best.most(seeker)
}

/// As `Lookup::offer`, which the compiler makes of wider registers here.
pub(super) fn offer(_: Avx512, lookup: &mut Lookup, versions: Versions<'_>, profile: Profile, ladder: &Ladder) {
    // SAFETY: as in `scan`.
    unsafe { offer_wide(lookup, versions, profile, ladder) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")]
fn offer_wide(lookup: &mut Lookup, versions: Versions<'_>, profile: Profile, ladder: &Ladder) {
    lookup.offer(versions, profile, ladder);
}
