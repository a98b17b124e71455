//! The model that roost ships, run as the service runs it.

use std::path::Path;

use enricher::onnx::{Predictor, Runtime};
use enricher::registry::Registry;
use enricher::{Config, TreeOperator};
use schemas::model_alias::ModelName;

use crate::house::library;

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
    let (name, version) = Config::default().model.split_once('/').map(|(n, v)| (n.to_owned(), v.to_owned())).unwrap();
    let registry = Registry::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(Config::default().registry));
    let package = registry.read(&ModelName { name, version }).unwrap();
    let mut predictor = Predictor::new(&Runtime::load(&library()).unwrap(), &package, TreeOperator::Fast).unwrap();
    predictor.check_golden(&package.manifest.golden).unwrap();

    let golden: Vec<Vec<f32>> = package
        .manifest
        .golden
        .iter()
        .map(|row| row.features.iter().map(|v| v.unwrap_or(f32::NAN)).collect())
        .collect();
    let rows = rows(&golden, 1_024);
    let alone: Vec<_> = rows.iter().flat_map(|row| predictor.predict(row).unwrap()).collect();
    let differing = alone.iter().collect::<Vec<_>>().windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(differing > 1_000, "the rows must differ for this test to say something: {differing}");
    for size in [2, 7, 64, 255, 256, 1_024] {
        let batched: Vec<_> = rows.chunks(size).flat_map(|rows| predictor.predict(&rows.concat()).unwrap()).collect();
        assert_eq!(batched, alone, "batches of {size}");
    }
}
