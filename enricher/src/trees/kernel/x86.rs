//! What the compiler does not find by itself: 64 comparisons in four instructions, and weights looked up in registers. All
//! that is `unsafe` stands here.

#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m512, __m512i, _CMP_GT_OQ, _CMP_NLE_UQ, _mm512_add_ps, _mm512_castsi512_si128, _mm512_cmp_ps_mask,
    _mm512_cvtepu8_epi32, _mm512_extracti32x4_epi32, _mm512_loadu_ps, _mm512_mask_add_epi8, _mm512_mask_blend_ps,
    _mm512_maskz_set1_epi8, _mm512_permutex2var_ps, _mm512_set1_epi8, _mm512_set1_ps, _mm512_storeu_ps,
};

use super::super::slices::{Block, Condition, FEW, Plain, WORD, Way};
use super::{Avx2, Avx512};

/// Floats in a register.
const REGISTER: usize = 16;

/// As [`Block::run`] with [`Plain`].
pub(super) fn avx2<const W: usize>(_: Avx2, block: Block<'_>) {
    #[target_feature(enable = "avx2")]
    fn run<const W: usize>(block: Block<'_>) {
        block.run::<W>(&Plain);
    }
    // SAFETY: an `Avx2` is made only where the processor was found to have it.
    unsafe { run::<W>(block) }
}

/// As [`Block::run`] with [`Wide`].
pub(super) fn avx512<const W: usize>(proof: Avx512, block: Block<'_>) {
    #[target_feature(enable = "avx512f,avx512bw")]
    fn run<const W: usize>(proof: Avx512, block: Block<'_>) {
        block.run::<W>(&Wide(proof));
    }
    // SAFETY: an `Avx512` is made only where the processor was found to have the features.
    unsafe { run::<W>(proof, block) }
}

/// The way of AVX-512.
struct Wide(Avx512);

impl Way for Wide {
    #[inline(always)]
    fn high(&self, values: &[f32; WORD], condition: &Condition) -> u64 {
        // SAFETY: `self.0` is proof that the processor has the features.
        unsafe { high(values, condition) }
    }

    #[inline(always)]
    fn add(&self, planes: &[u64; 6], weights: &[f32; FEW], sums: &mut [f32; WORD]) {
        // SAFETY: `self.0` is proof that the processor has the features.
        unsafe { add(planes, weights, sums) }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn high(values: &[f32; WORD], condition: &Condition) -> u64 {
    let threshold = _mm512_set1_ps(condition.threshold);
    let (registers, _) = values.as_chunks::<REGISTER>();
    let mut mask = 0;
    for (values, i) in registers.iter().zip(0..) {
        let high = if condition.missing_goes_low {
            _mm512_cmp_ps_mask::<_CMP_GT_OQ>(load(values), threshold)
        } else {
            _mm512_cmp_ps_mask::<_CMP_NLE_UQ>(load(values), threshold)
        };
        mask |= u64::from(high) << (REGISTER * i);
    }
    mask
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn add(planes: &[u64; 6], weights: &[f32; FEW], sums: &mut [f32; WORD]) {
    let (weights, _) = weights.as_chunks::<REGISTER>();
    let mut numbers = _mm512_maskz_set1_epi8(planes[0], 1);
    for (plane, bit) in planes[1..].iter().zip(1..) {
        numbers = _mm512_mask_add_epi8(numbers, *plane, numbers, _mm512_set1_epi8(1 << bit));
    }
    let (registers, _) = sums.as_chunks_mut::<REGISTER>();
    for ((sums, numbers), i) in registers.iter_mut().zip(quarters(numbers)).zip(0..) {
        // A permutation looks at the five lowest bits: 32 of the weights.
        let low = _mm512_permutex2var_ps(load(&weights[0]), numbers, load(&weights[1]));
        let high = _mm512_permutex2var_ps(load(&weights[2]), numbers, load(&weights[3]));
        let is_high = (planes[5] >> (REGISTER * i)) as u16;
        store(sums, _mm512_add_ps(load(sums), _mm512_mask_blend_ps(is_high, low, high)));
    }
}

/// 64 bytes as four registers of integers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn quarters(bytes: __m512i) -> [__m512i; 4] {
    [
        _mm512_cvtepu8_epi32(_mm512_castsi512_si128(bytes)),
        _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32::<1>(bytes)),
        _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32::<2>(bytes)),
        _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32::<3>(bytes)),
    ]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(floats: &[f32; REGISTER]) -> __m512 {
    // SAFETY: 16 floats are read where 16 floats are, and the load asks for no alignment.
    unsafe { _mm512_loadu_ps(floats.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(floats: &mut [f32; REGISTER], register: __m512) {
    // SAFETY: 16 floats are written where 16 floats are, and the store asks for no alignment.
    unsafe { _mm512_storeu_ps(floats.as_mut_ptr(), register) }
}
