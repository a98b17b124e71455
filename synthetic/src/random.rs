//! The crate's own source of chance, and the one transcendental function it needs.
//!
//! A seed must give the same market for ever and on every machine. Crates reserve the right to change their streams
//! between versions and the platform's `exp` differs in its last bit from machine to machine; SplitMix64 is eight
//! lines, and an `exp` of additions and multiplications alone is exact by IEEE 754. Not fit for secrets.

/// A stream of chance: SplitMix64 (Steele, Lea, Flood: *Fast Splittable Pseudorandom Number Generators*, 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The stream of this name under this seed; streams of different names are independent of each other.
    pub(crate) const fn of(seed: u64, stream: u64) -> Self {
        Self(scramble(seed ^ scramble(stream)))
    }

    /// 64 random bits.
    pub(crate) const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        scramble(self.0)
    }

    /// Uniform in `0..n`; 0 when `n` is 0. Biased by less than n / 2^64.
    pub(crate) const fn below(&mut self, n: u64) -> u64 {
        ((self.bits() as u128 * n as u128) >> 64) as u64
    }

    /// Uniform in `0.0..1.0`, in steps of 2^-53.
    pub(crate) const fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in `low..high`.
    pub(crate) const fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Whether an event of this probability happens.
    pub(crate) const fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Bell-shaped around 0 with standard deviation 1, never beyond ±4.9: the sum of eight 16-bit uniforms.
    pub(crate) const fn bell(&mut self) -> f64 {
        // A uniform of width 1 has variance 1/12, eight of them 2/3; the factor is the square root of 3/2.
        const SCALE: f64 = 1.224_744_871_391_589 / 65_536.0;
        let (a, b) = (self.bits(), self.bits());
        let mut sum = 0_u32;
        let mut lane = 0;
        while lane < 64 {
            sum += (a >> lane) as u16 as u32 + (b >> lane) as u16 as u32;
            lane += 16;
        }
        (sum as f64 - 8.0 * 32_767.5) * SCALE
    }

    /// One of `weights.len()` choices, each as likely as its weight; the last one when all weights are 0.
    pub(crate) fn choose(&mut self, weights: &[u64]) -> usize {
        let mut left = self.below(weights.iter().sum());
        let chosen = weights.iter().position(|&weight| match left.checked_sub(weight) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        });
        chosen.unwrap_or(weights.len().saturating_sub(1))
    }
}

const fn scramble(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// e^x for |x| ≤ 700, to about 15 digits, the same bits on every machine.
pub(crate) fn exp(x: f64) -> f64 {
    let halvings = (x * std::f64::consts::LOG2_E).round();
    // |r| ≤ ln 2 / 2: fourteen terms of the series reach the last bit.
    let r = x - halvings * std::f64::consts::LN_2;
    let series = (1..=14).rev().fold(1.0, |sum, n| 1.0 + sum * r / f64::from(n));
    series * f64::from_bits(((1023 + halvings as i64) as u64) << 52)
}

/// A wave of period 1 between −1 and 1, made of parabolas: like a sine, but exact on every machine.
pub(crate) fn wave(turns: f64) -> f64 {
    let phase = turns - turns.floor();
    let half = if phase < 0.5 { phase } else { phase - 0.5 };
    let hump = 16.0 * half * (0.5 - half);
    if phase < 0.5 { hump } else { -hump }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_split_mix_64() {
        // Vector of the reference implementation for the seed 1234567.
        let mut random = Random(1_234_567);
        assert_eq!(
            [random.bits(), random.bits(), random.bits()],
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn chance_is_distributed_as_it_says() {
        let mut random = Random::of(1, 2);
        let n = 200_000;
        let (mut sum, mut squares, mut hits) = (0.0, 0.0, [0_u32; 3]);
        for _ in 0..n {
            let x = random.bell();
            sum += x;
            squares += x * x;
            hits[random.choose(&[1, 0, 3])] += 1;
        }
        let mean = sum / f64::from(n);
        assert!(mean.abs() < 0.01, "mean {mean}");
        assert!((squares / f64::from(n) - 1.0).abs() < 0.02, "variance {}", squares / f64::from(n));
        assert_eq!(hits[1], 0);
        assert!((f64::from(hits[2]) / f64::from(n) - 0.75).abs() < 0.01, "{hits:?}");
    }

    #[test]
    fn exp_agrees_with_the_platforms() {
        for i in -400..400 {
            let x = f64::from(i) / 20.0;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-14, "e^{x}");
        }
        assert_eq!((wave(0.0), wave(0.25), wave(0.75), wave(1.5)), (0.0, 1.0, -1.0, 0.0));
    }
}
