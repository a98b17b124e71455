//! The model that roost ships, run as the service runs it.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use enricher::explain::Explainer;
use enricher::onnx::{Predictor, Runtime};
use enricher::registry::{GoldenRow, Package, Registry};
use enricher::{Config, TreeOperator};
use schemas::model_alias::ModelName;

use crate::house::library;

fn shipped() -> Package {
    let (name, version) = Config::default().model.split_once('/').map(|(n, v)| (n.to_owned(), v.to_owned())).unwrap();
    let registry = Registry::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(Config::default().registry));
    registry.read(&ModelName { name, version }).unwrap()
}

fn predictor(package: &Package, operator: TreeOperator) -> Predictor {
    let predictor = Predictor::new(&Runtime::load(&library()).unwrap(), package, operator).unwrap();
    assert_eq!(predictor.left_to_stock(), None);
    predictor
}

/// Rows like those of the manifest, each number moved by a share that follows from its place.
fn rows(golden: &[Vec<f32>], count: usize) -> Vec<Vec<f32>> {
    let moved = |i: usize, column: usize, value: f32| {
        let share = (i * 7_919 + column * 104_729) % 2_001;
        if share == 0 { f32::NAN } else { value * (0.9 + share as f32 / 10_000.0) }
    };
    (0..count)
        .map(|i| golden[i % golden.len()].iter().enumerate().map(|(column, value)| moved(i, column, *value)).collect())
        .collect()
}

#[test]
fn the_shipped_model_is_the_default_passes_its_golden_rows_and_values_a_row_the_same_in_any_batch() {
    let package = shipped();
    let mut predictor = predictor(&package, TreeOperator::Fast);
    predictor.check_golden(&package.manifest.golden).unwrap();

    let golden: Vec<Vec<f32>> = package.manifest.golden.iter().map(GoldenRow::inputs).collect();
    let rows = rows(&golden, 1_024);
    let alone: Vec<_> = rows.iter().flat_map(|row| predictor.predict(row).unwrap()).collect();
    let differing = alone.iter().collect::<Vec<_>>().windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(differing > 1_000, "the rows must differ for this test to say something: {differing}");
    for size in [2, 7, 64, 255, 256, 1_024] {
        let batched: Vec<_> = rows.chunks(size).flat_map(|rows| predictor.predict(&rows.concat()).unwrap()).collect();
        assert_eq!(batched, alone, "batches of {size}");
    }
}

/// Numbers between those of any two golden rows and beyond, some missing, some not finite.
fn random_rows(golden: &[Vec<f32>], count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    // SplitMix64 (Steele, Lea, Flood, 2014).
    let mut random = move |below: usize| {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as usize % below
    };
    let mut rows = Vec::with_capacity(count * golden[0].len());
    for i in 0..count * golden[0].len() {
        let column = i % golden[0].len();
        let [one, other] = [(); 2].map(|()| golden[random(golden.len())][column]);
        rows.push(match random(100) {
            0..8 => f32::NAN,
            8 => [f32::INFINITY, f32::NEG_INFINITY, -0.0, f32::MAX, f32::MIN][random(5)],
            _ => one + (other - one) * (random(1_500) as f32 / 1_000.0 - 0.25),
        });
    }
    rows
}

#[test]
fn our_operator_says_of_100_000_random_rows_what_the_standard_one_says() {
    let seed = std::env::var("ROOST_TEST_SEED").map_or_else(|_| RandomState::new().hash_one(0), |s| s.parse().unwrap());
    eprintln!("ROOST_TEST_SEED={seed}");
    let package = shipped();
    let golden: Vec<Vec<f32>> = package.manifest.golden.iter().map(GoldenRow::inputs).collect();
    let rows = random_rows(&golden, 100_000, seed);
    let stock = predictor(&package, TreeOperator::Stock).predict(&rows).unwrap();
    let portable = predictor(&package, TreeOperator::Portable).predict(&rows).unwrap();
    let fast = predictor(&package, TreeOperator::Fast).predict(&rows).unwrap();
    assert_eq!(fast, portable);
    for (row, (ours, stock)) in fast.iter().zip(&stock).enumerate() {
        for (ours, stock) in ours.iter().zip(stock) {
            assert!((ours - stock).abs() <= 1e-5 * stock.abs(), "row {row}: {ours} {stock}");
        }
    }
}

#[test]
fn the_prices_of_the_shipped_model_are_explained() {
    let package = shipped();
    let explainer = Explainer::new(&package).unwrap();
    for row in &package.manifest.golden {
        let explanation = explainer.explain(&row.inputs());
        assert!((explanation.price / row.p50 - 1.0).abs() < 1e-4, "{} {}", explanation.price, row.p50);
        let amounts: f64 = explanation.parts.iter().map(|part| part.amount).sum();
        assert!((explanation.base_price + amounts - explanation.price).abs() < 1e-6 * explanation.price);
        assert!(explanation.parts.len() > 5, "{:?}", explanation.parts);
    }
}
