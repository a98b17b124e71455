//! One answer, five ways to it: ONNX Runtime's operator, rows one by one, and blocks with each kernel that this processor has.
//! Ensembles of any shape, and rows that meet their thresholds exactly.

use proptest::prelude::*;
use prost::Message;

use super::evaluate::{Evaluator, Room};
use super::file::{Attribute, Graph, Model, Node, OperatorSet};
use super::kernel::Kernel;
use super::read::Network;
use super::*;
use crate::config::TreeOperator;
use crate::onnx::tests::{library, package, sums_of_stock};
use crate::onnx::{Predictor, Runtime};
use crate::registry::Package;

/// Columns of the rows.
pub(super) const FEATURES: usize = 5;
pub(super) const TARGETS: usize = 3;

/// Values that thresholds and rows have in common, and those that are special.
const VALUES: [f32; 16] = [
    -0.0,
    0.0,
    1.0,
    -1.0,
    1.5,
    2.0,
    1e-45,
    -1e-45,
    f32::MIN_POSITIVE,
    f32::MAX,
    f32::MIN,
    1e30,
    -3.0,
    100.0,
    0.1,
    16_777_217.0,
];

/// What a split is made of; its place in the tree comes from elsewhere.
#[derive(Clone, Copy, Debug)]
struct Draft {
    /// Which of the leaves becomes this split.
    place: prop::sample::Index,
    feature: u16,
    threshold: f32,
    missing_goes_low: bool,
}

fn value() -> impl Strategy<Value = f32> {
    prop_oneof![3 => prop::sample::select(&VALUES[..]), 1 => -10.0_f32..10.0]
}

fn draft() -> impl Strategy<Value = Draft> {
    (any::<prop::sample::Index>(), 0..FEATURES as u16, value(), any::<bool>())
        .prop_map(|(place, feature, threshold, missing_goes_low)| Draft { place, feature, threshold, missing_goes_low })
}

/// From a stump to more leaves than a byte counts, mostly small.
fn tree() -> impl Strategy<Value = Tree> {
    let splits = prop_oneof![
        8 => prop::collection::vec(draft(), 0..40),
        2 => prop::collection::vec(draft(), 60..70),
        1 => prop::collection::vec(draft(), 250..270),
    ];
    (splits, 0..TARGETS, any::<u32>()).prop_map(|(drafts, target, seed)| grown(&drafts, target, seed))
}

pub(super) fn ensemble() -> impl Strategy<Value = Ensemble> {
    (prop::collection::vec(tree(), TARGETS..12), prop::array::uniform3(-20.0_f32..20.0)).prop_map(
        |(mut trees, base_values)| {
            // No target is without a tree.
            trees.iter_mut().take(TARGETS).enumerate().for_each(|(target, tree)| tree.target = target);
            Ensemble { features: FEATURES, base_values: base_values.to_vec(), trees }
        },
    )
}

fn input() -> impl Strategy<Value = f32> + Clone {
    prop_oneof![
        8 => value(),
        2 => Just(f32::NAN),
        1 => prop::sample::select(&[f32::INFINITY, f32::NEG_INFINITY][..]),
    ]
}

pub(super) fn row() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(input(), FEATURES)
}

fn rows() -> impl Strategy<Value = Vec<f32>> {
    let count = prop_oneof![1_usize..20, 60_usize..70, 120_usize..140, 250_usize..330];
    count.prop_flat_map(|count| prop::collection::vec(input(), count * FEATURES))
}

/// Turns leaves into splits, one after the other.
fn grown(drafts: &[Draft], target: usize, seed: u32) -> Tree {
    // The numbers of the two branches of each split; a leaf is `None`.
    let mut splits: Vec<(Draft, [Option<usize>; 2])> = Vec::new();
    let mut leaves: Vec<(usize, usize)> = Vec::new();
    for draft in drafts {
        let number = splits.len();
        if number > 0 {
            let (parent, side) = leaves.swap_remove(draft.place.index(leaves.len()));
            splits[parent].1[side] = Some(number);
        }
        splits.push((*draft, [None, None]));
        leaves.extend([(number, 0), (number, 1)]);
    }
    let mut tree = Tree { target, splits: Vec::new(), leaves: Vec::new(), covers: None };
    let root = (!splits.is_empty()).then_some(0);
    copy(&splits, root, seed, &mut tree);
    tree
}

/// Appends a branch in the order in which the reader numbers it.
fn copy(splits: &[(Draft, [Option<usize>; 2])], branch: Option<usize>, seed: u32, tree: &mut Tree) -> Branch {
    let Some(number) = branch else {
        let leaf = tree.leaves.len() as u32;
        // Weights without pattern, whose sums have something to round.
        tree.leaves.push((seed.wrapping_add(leaf).wrapping_mul(2_654_435_761) as f32 / u32::MAX as f32) - 0.5);
        return Branch::Leaf(leaf);
    };
    let (Draft { feature, threshold, missing_goes_low, .. }, [low, high]) = splits[number];
    let here = tree.splits.len();
    let branch = Branch::Split(here as u32);
    tree.splits.push(Split { feature, threshold, missing_goes_low, low: branch, high: branch });
    tree.splits[here].low = copy(splits, low, seed, tree);
    tree.splits[here].high = copy(splits, high, seed, tree);
    branch
}

/// The same with counts of a training in which every leaf had rows.
pub(super) fn covered(mut ensemble: Ensemble) -> Ensemble {
    for tree in &mut ensemble.trees {
        let leaves: Vec<f32> = (0..tree.leaves.len()).map(|leaf| (1 + leaf * 7 % 13) as f32).collect();
        let mut splits = vec![0.0; tree.splits.len()];
        // Every split stands before those below it.
        for (number, split) in tree.splits.iter().enumerate().rev() {
            let rows = |branch| match branch {
                Branch::Split(split) => splits[split as usize],
                Branch::Leaf(leaf) => leaves[leaf as usize],
            };
            splits[number] = rows(split.low) + rows(split.high);
        }
        tree.covers = Some(Covers { splits, leaves });
    }
    ensemble
}

/// The lists of a standard node.
#[derive(Default)]
pub(crate) struct Lists {
    pub ints: std::collections::BTreeMap<&'static str, Vec<i64>>,
    pub floats: std::collections::BTreeMap<&'static str, Vec<f32>>,
    pub modes: Vec<&'static str>,
    pub words: Vec<(&'static str, &'static str)>,
}

impl Lists {
    fn int(&mut self, name: &'static str, value: i64) {
        self.ints.entry(name).or_default().push(value);
    }

    fn float(&mut self, name: &'static str, value: f32) {
        self.floats.entry(name).or_default().push(value);
    }

    /// An ensemble whose conditions are put in words of the given mode where it can say the same.
    pub fn of(ensemble: &Ensemble, modes: &[&'static str]) -> Self {
        let mut lists = Self::default();
        for (id, tree) in (0..).zip(&ensemble.trees) {
            lists.tree(id, tree, modes);
        }
        lists.ints.insert("n_targets", vec![ensemble.targets() as i64]);
        lists.floats.insert("base_values", ensemble.base_values.clone());
        lists
    }

    fn tree(&mut self, id: i64, tree: &Tree, modes: &[&'static str]) {
        let number = |branch| match branch {
            Branch::Split(split) => i64::from(split),
            Branch::Leaf(leaf) => tree.splits.len() as i64 + i64::from(leaf),
        };
        for (at, split) in tree.splits.iter().enumerate() {
            let mode = modes[at % modes.len()];
            let is_greater = mode.starts_with("BRANCH_G");
            // The reader takes `<` for `<=` of the number before.
            let is_strict = matches!(mode, "BRANCH_LT" | "BRANCH_GTE");
            // But the greatest number has no finite one after it: there it stays another condition.
            let next = split.threshold.next_up().min(f32::MAX);
            let threshold = if is_strict { next } else { split.threshold };
            let (yes, no) = if is_greater { (split.high, split.low) } else { (split.low, split.high) };
            self.node(id, at as i64, mode);
            self.int("nodes_featureids", i64::from(split.feature));
            self.float("nodes_values", threshold);
            self.int("nodes_truenodeids", number(yes));
            self.int("nodes_falsenodeids", number(no));
            self.int("nodes_missing_value_tracks_true", i64::from(split.missing_goes_low != is_greater));
        }
        for (leaf, weight) in (0..).zip(&tree.leaves) {
            let node = number(Branch::Leaf(leaf));
            self.node(id, node, "LEAF");
            for list in
                ["nodes_featureids", "nodes_truenodeids", "nodes_falsenodeids", "nodes_missing_value_tracks_true"]
            {
                self.int(list, 0);
            }
            self.float("nodes_values", 0.0);
            self.int("target_treeids", id);
            self.int("target_nodeids", node);
            self.int("target_ids", tree.target as i64);
            self.float("target_weights", *weight);
        }
        if let Some(covers) = &tree.covers {
            self.floats.entry("nodes_hitrates").or_default().extend(covers.splits.iter().chain(&covers.leaves));
        }
    }

    fn node(&mut self, tree: i64, node: i64, mode: &'static str) {
        self.int("nodes_treeids", tree);
        self.int("nodes_nodeids", node);
        self.modes.push(mode);
    }

    fn attributes(&self) -> Vec<Attribute> {
        let named =
            |name: &str, kind| Attribute { name: Some(name.to_owned()), kind: Some(kind), ..Attribute::default() };
        let ints = self.ints.iter().map(|(name, values)| match (*name, values.as_slice()) {
            ("n_targets", &[targets]) => Attribute { i: Some(targets), ..named(name, 2) },
            _ => Attribute { ints: values.clone(), ..named(name, 7) },
        });
        let floats = self.floats.iter().map(|(name, values)| Attribute { floats: values.clone(), ..named(name, 6) });
        let modes = self.modes.iter().map(|mode| mode.as_bytes().to_vec()).collect();
        let modes = Attribute { strings: modes, ..named("nodes_modes", 8) };
        let words =
            self.words.iter().map(|(name, word)| Attribute { s: Some(word.as_bytes().to_vec()), ..named(name, 3) });
        ints.chain(floats).chain([modes]).chain(words).collect()
    }

    /// A file whose graph is the standard node alone: `features` in, `sums` out.
    pub fn file(&self, version: i64) -> Vec<u8> {
        let node = Node {
            input: vec!["features".to_owned()],
            output: vec!["sums".to_owned()],
            op_type: Some("TreeEnsembleRegressor".to_owned()),
            domain: Some("ai.onnx.ml".to_owned()),
            attribute: self.attributes(),
            ..Node::default()
        };
        let set = |domain: &str, version| OperatorSet { domain: Some(domain.to_owned()), version: Some(version) };
        let graph = Graph {
            node: vec![node.encode_to_vec()],
            name: Some(b"trees".to_vec()),
            input: vec![outlet("features")],
            output: vec![outlet("sums")],
            ..Graph::default()
        };
        let opset_import = vec![set("", 17), set("ai.onnx.ml", version)];
        Model { ir_version: Some(8), graph: Some(graph), opset_import, ..Model::default() }.encode_to_vec()
    }
}

/// `ValueInfoProto` of an `f32` tensor of any two dimensions, as bytes: name; type, tensor, element type and shape.
fn outlet(name: &str) -> Vec<u8> {
    const TYPE: [u8; 12] = [0x12, 10, 0x0a, 8, 0x08, 1, 0x12, 4, 0x0a, 0, 0x0a, 0];
    [&[0x0a, name.len() as u8], name.as_bytes(), &TYPE].concat()
}

fn kernels() -> Vec<Kernel> {
    [Some(Kernel::Portable), Kernel::avx2(), Kernel::avx512()].into_iter().flatten().collect()
}

fn sums(evaluator: &Evaluator, rows: &[f32]) -> Vec<f32> {
    let mut sums = vec![f32::NAN; rows.len() / FEATURES * TARGETS];
    evaluator.evaluate(rows, &mut sums, &mut Room::default());
    sums
}

fn bits(sums: &[f32]) -> Vec<u32> {
    sums.iter().map(|sum| sum.to_bits()).collect()
}

/// Relative to numbers from 1 up: near zero a sum of 32-bit numbers has no relative precision.
fn are_near(ours: &[f32], stock: &[f32]) -> bool {
    ours.len() == stock.len() && ours.iter().zip(stock).all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs().max(1.0))
}

/// What the definition says, a tree at a time.
pub(super) fn plainly(ensemble: &Ensemble, row: &[f32]) -> Vec<f32> {
    let mut sums = vec![0.0; ensemble.targets()];
    for tree in &ensemble.trees {
        let mut branch = tree.root();
        while let Branch::Split(split) = branch {
            let split = &tree.splits[split as usize];
            branch = split.branch(row[usize::from(split.feature)]);
        }
        if let Branch::Leaf(leaf) = branch {
            sums[tree.target] += tree.leaves[leaf as usize];
        }
    }
    sums.iter().zip(&ensemble.base_values).map(|(sum, base)| sum + base).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_kernel_and_any_batch_say_the_same_to_the_last_bit(ensemble in ensemble(), rows in rows()) {
        let expected: Vec<f32> = rows.chunks(FEATURES).flat_map(|row| plainly(&ensemble, row)).collect();
        for kernel in kernels() {
            let evaluator = Evaluator::new(&ensemble, kernel);
            prop_assert_eq!(bits(&sums(&evaluator, &rows)), bits(&expected), "{:?}", kernel);
            for batch in [1, 7, 65, 129] {
                let batched: Vec<f32> =
                    rows.chunks(batch * FEATURES).flat_map(|rows| sums(&evaluator, rows)).collect();
                prop_assert_eq!(bits(&batched), bits(&expected), "{:?} in batches of {}", kernel, batch);
            }
        }
    }

    #[test]
    fn the_standard_operator_says_the_same(ensemble in ensemble(), rows in rows()) {
        let file = Lists::of(&ensemble, &["BRANCH_LEQ"]).file(3);
        let evaluator = Evaluator::new(&ensemble, Kernel::best());
        let (ours, stock) = (sums(&evaluator, &rows), sums_of_stock(&file, &rows, FEATURES));
        prop_assert!(are_near(&ours, &stock));
    }

    #[test]
    fn what_is_read_is_what_was_written(ensemble in ensemble(), is_covered in any::<bool>()) {
        let ensemble = if is_covered { covered(ensemble) } else { ensemble };
        let file = Lists::of(&ensemble, &["BRANCH_LEQ"]).file(3);
        prop_assert_eq!(Network::parse(&file).unwrap().ensemble(FEATURES).unwrap(), ensemble);
    }

    #[test]
    fn other_modes_are_the_same_decisions(ensemble in ensemble(), rows in rows()) {
        let file = Lists::of(&ensemble, &["BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_LEQ"]).file(3);
        let read = Network::parse(&file).unwrap().ensemble(FEATURES).unwrap();
        let ours = sums(&Evaluator::new(&read, Kernel::best()), &rows);
        prop_assert!(are_near(&ours, &sums_of_stock(&file, &rows, FEATURES)));
    }
}

/// What becomes of a model whose file was changed, at load or at its golden rows.
fn refusal(package: &Package) -> String {
    let runtime = Runtime::load(&library()).unwrap();
    Predictor::new(&runtime, package, TreeOperator::Fast)
        .and_then(|mut predictor| predictor.check_golden(&package.manifest.golden))
        .unwrap_err()
        .to_string()
}

/// The test model with its network changed.
fn changed(change: impl Fn(&mut Model, &mut Node)) -> Package {
    let mut package = package("trees", "1");
    let mut model = Model::decode(&*package.onnx).unwrap();
    let mut node = Node::decode(model.graph.as_ref().unwrap().node[0].as_slice()).unwrap();
    change(&mut model, &mut node);
    model.graph.as_mut().unwrap().node[0] = node.encode_to_vec();
    package.onnx = model.encode_to_vec().into();
    package
}

#[test]
fn a_model_with_a_bad_file_is_refused_with_the_reason_by_any_operator() {
    let mut cut_off = package("trees", "1");
    cut_off.onnx = cut_off.onnx[..cut_off.onnx.len() / 2].into();
    let other_version = changed(|model, _| model.opset_import[0].version = Some(99));
    let no_numbers = changed(|_, node| {
        let base = node.attribute.iter_mut().find(|a| a.name.as_deref() == Some("base_values")).unwrap();
        base.floats[1] = f32::NAN;
    });
    let mut other_features = package("trees", "1");
    other_features.features = package("tiny", "1").features;
    for (package, wrong) in [
        (cut_off, "protobuf parsing failed"),
        (other_version, "opset"),
        (no_numbers, "golden row 0 gives NaN"),
        (other_features, "expected one outlet `features` f32 [N, 2]"),
    ] {
        let error = refusal(&package);
        assert!(error.contains("trees/1/model.onnx") && error.contains(wrong), "{error}");
    }
}
