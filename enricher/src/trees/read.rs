//! From a network's file to its ensemble of trees: finds the one `TreeEnsembleRegressor`, checks all that it says, and writes
//! the network again with another operator in its place.
//!
//! Refuses what it does not know instead of guessing: ONNX Runtime's own operator is always there to fall back on.

use prost::Message;
use rustc_hash::FxHashMap;

use super::file::{Attribute, Model, Node, OperatorSet};
use super::{Branch, Covers, Ensemble, Split, Tree};

/// Domain of the operator that takes the place of the standard one.
pub const DOMAIN: &str = "roost.trees";
/// Its name.
pub const OPERATOR: &str = "Ensemble";

const ML_DOMAIN: &str = "ai.onnx.ml";
const STANDARD: &str = "TreeEnsembleRegressor";
/// The versions of `ai.onnx.ml` in which the operator means what is read here; 5 replaced it by another.
const ML_VERSIONS: std::ops::RangeInclusive<i64> = 1..=4;

/// Nodes in all: a file of the largest allowed size has some four million.
const MAX_NODES: usize = 5_000_000;
/// Splits from a root to a leaf: what explains a price goes down by recursion. The deepest tree seen has 30.
const MAX_DEPTH: usize = 512;
/// Targets: the sums of a block of rows stay in the cache.
const MAX_TARGETS: usize = 64;
/// Columns: as many as a number of 16 bits counts.
const MAX_FEATURES: usize = 1 << 16;

/// Why the trees of a network cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

fn unreadable<T>(why: impl Into<String>) -> Result<T, Unreadable> {
    Err(Unreadable(why.into()))
}

/// A network with one ensemble of trees in it.
pub struct Network {
    model: Model,
    /// Where among the graph's nodes the ensemble stands.
    position: usize,
    node: Node,
}

impl Network {
    /// Finds the ensemble in the bytes of a file.
    pub fn parse(onnx: &[u8]) -> Result<Self, Unreadable> {
        let model = Model::decode(onnx).map_err(|e| Unreadable(format!("not an ONNX file: {e}")))?;
        if model.encoded_len() != onnx.len() {
            return unreadable("the file has parts that roost does not know and would lose");
        }
        let Some(graph) = &model.graph else { return unreadable("the file has no graph") };
        let mut found = None;
        for (position, bytes) in graph.node.iter().enumerate() {
            let node = Node::decode(bytes.as_slice()).map_err(|e| Unreadable(format!("node {position}: {e}")))?;
            if node.op_type.as_deref() == Some(STANDARD)
                && node.domain.as_deref() == Some(ML_DOMAIN)
                && found.replace((position, node)).is_some()
            {
                return unreadable(format!("the network has more than one {STANDARD}"));
            }
        }
        let Some((position, node)) = found else { return unreadable(format!("the network has no {STANDARD}")) };
        let version = model.opset_import.iter().find(|set| set.domain.as_deref() == Some(ML_DOMAIN));
        match version.and_then(|set| set.version) {
            Some(version) if ML_VERSIONS.contains(&version) => Ok(Self { model, position, node }),
            Some(version) => unreadable(format!("operator set {ML_DOMAIN} {version}, known are 1 to 4")),
            None => unreadable(format!("no version of operator set {ML_DOMAIN}")),
        }
    }

    /// The trees, for rows of so many columns.
    pub fn ensemble(&self, columns: usize) -> Result<Ensemble, Unreadable> {
        if columns == 0 || columns > MAX_FEATURES {
            return unreadable(format!("{columns} columns (expected 1 to {MAX_FEATURES})"));
        }
        let attributes = Attributes(&self.node.attribute);
        attributes.check()?;
        let targets = attributes.targets()?;
        let base_values = match attributes.floats("base_values") {
            [] => vec![0.0; targets],
            values if values.len() == targets => finite("base_values", values)?.to_vec(),
            values => return unreadable(format!("{} base_values for {targets} targets", values.len())),
        };
        let table = Table::of(&attributes, columns)?;
        let mut leaves = Leaves::of(&attributes, targets)?;
        let trees = table.trees().map(|rows| table.tree(rows?, &mut leaves)).collect::<Result<Vec<_>, _>>()?;
        if let Some((tree, node)) = leaves.0.keys().next() {
            return unreadable(format!("a weight for node {node} of tree {tree}, which is no leaf"));
        }
        // To such a target the standard operator gives 0, not its base value.
        if let Some(target) = (0..targets).find(|target| trees.iter().all(|tree| tree.target != *target)) {
            return unreadable(format!("no tree adds to target {target}"));
        }
        Ok(Ensemble { features: columns, base_values, trees })
    }

    /// The same network with the operator of [`DOMAIN`] in the ensemble's place. It has no attributes: the trees are handed
    /// to it elsewhere.
    pub fn with_operator(mut self) -> Vec<u8> {
        let node = Node {
            op_type: Some(OPERATOR.to_owned()),
            domain: Some(DOMAIN.to_owned()),
            attribute: Vec::new(),
            ..self.node
        };
        if let Some(graph) = &mut self.model.graph {
            graph.node[self.position] = node.encode_to_vec();
        }
        self.model.opset_import.push(OperatorSet { domain: Some(DOMAIN.to_owned()), version: Some(1) });
        self.model.encode_to_vec()
    }
}

/// The attributes of the ensemble's node by name.
struct Attributes<'a>(&'a [Attribute]);

impl<'a> Attributes<'a> {
    const KNOWN: [&'static str; 17] = [
        "aggregate_function",
        "base_values",
        "n_targets",
        "nodes_falsenodeids",
        "nodes_featureids",
        "nodes_hitrates",
        "nodes_missing_value_tracks_true",
        "nodes_modes",
        "nodes_nodeids",
        "nodes_treeids",
        "nodes_truenodeids",
        "nodes_values",
        "post_transform",
        "target_ids",
        "target_nodeids",
        "target_treeids",
        "target_weights",
    ];

    /// Nothing that changes what the trees mean in another way than those that are read.
    fn check(&self) -> Result<(), Unreadable> {
        for attribute in self.0 {
            let name = attribute.name.as_deref().unwrap_or_default();
            if !Self::KNOWN.contains(&name) {
                return unreadable(format!("attribute {name} is not known"));
            }
        }
        for (name, meant) in [("aggregate_function", "SUM"), ("post_transform", "NONE")] {
            let said = self.get(name).and_then(|attribute| attribute.s.as_deref());
            if said.is_some_and(|said| said != meant.as_bytes()) {
                let said = String::from_utf8_lossy(said.unwrap_or_default());
                return unreadable(format!("{name} {said}, known is {meant}"));
            }
        }
        Ok(())
    }

    fn targets(&self) -> Result<usize, Unreadable> {
        let said = self.get("n_targets").and_then(|attribute| attribute.i).unwrap_or(1);
        match usize::try_from(said) {
            Ok(targets) if (1..=MAX_TARGETS).contains(&targets) => Ok(targets),
            _ => unreadable(format!("{said} targets (expected 1 to {MAX_TARGETS})")),
        }
    }

    fn get(&self, name: &str) -> Option<&'a Attribute> {
        self.0.iter().find(|attribute| attribute.name.as_deref() == Some(name))
    }

    fn ints(&self, name: &str) -> &'a [i64] {
        self.get(name).map_or(&[], |attribute| &attribute.ints)
    }

    fn floats(&self, name: &str) -> &'a [f32] {
        self.get(name).map_or(&[], |attribute| &attribute.floats)
    }
}

fn finite<'a>(name: &str, values: &'a [f32]) -> Result<&'a [f32], Unreadable> {
    match values.iter().find(|value| !value.is_finite()) {
        Some(value) => unreadable(format!("{name} has {value}")),
        None => Ok(values),
    }
}

/// The weights that no leaf has taken yet, by tree and node: the target and the weight.
struct Leaves(FxHashMap<(i64, i64), (usize, f32)>);

impl Leaves {
    fn of(attributes: &Attributes<'_>, targets: usize) -> Result<Self, Unreadable> {
        let (trees, nodes) = (attributes.ints("target_treeids"), attributes.ints("target_nodeids"));
        let (ids, weights) = (attributes.ints("target_ids"), attributes.floats("target_weights"));
        if [nodes.len(), ids.len(), weights.len()] != [trees.len(); 3] {
            return unreadable("the lists target_* differ in length");
        }
        finite("target_weights", weights)?;
        let mut leaves = FxHashMap::default();
        leaves.reserve(trees.len());
        for (((&tree, &node), &id), &weight) in trees.iter().zip(nodes).zip(ids).zip(weights) {
            let Some(target) = usize::try_from(id).ok().filter(|target| *target < targets) else {
                return unreadable(format!("target {id} of {targets}"));
            };
            if leaves.insert((tree, node), (target, weight)).is_some() {
                return unreadable(format!("node {node} of tree {tree} has two weights"));
            }
        }
        Ok(Self(leaves))
    }
}

/// The lists `nodes_*`: a row for each node of all trees.
struct Table<'a> {
    trees: &'a [i64],
    ids: &'a [i64],
    modes: &'a [Vec<u8>],
    features: Vec<u16>,
    thresholds: &'a [f32],
    yes: &'a [i64],
    no: &'a [i64],
    /// Empty: no missing number makes a condition true.
    missing_is_true: &'a [i64],
    /// Empty: the file does not say.
    covers: &'a [f32],
}

/// A row of the table that is to be entered: how deep, and the branch that leads there.
struct Step {
    row: usize,
    depth: usize,
    from: Option<(usize, Side)>,
}

#[derive(Clone, Copy)]
enum Side {
    Low,
    High,
}

impl<'a> Table<'a> {
    fn of(attributes: &Attributes<'a>, columns: usize) -> Result<Self, Unreadable> {
        let column = |&feature: &i64| match u16::try_from(feature) {
            Ok(column) if usize::from(column) < columns => Ok(column),
            _ => unreadable(format!("a split looks at feature {feature} of {columns}")),
        };
        let table = Self {
            trees: attributes.ints("nodes_treeids"),
            ids: attributes.ints("nodes_nodeids"),
            modes: attributes.get("nodes_modes").map_or(&[], |attribute| &attribute.strings),
            features: attributes.ints("nodes_featureids").iter().map(column).collect::<Result<_, _>>()?,
            thresholds: finite("nodes_values", attributes.floats("nodes_values"))?,
            yes: attributes.ints("nodes_truenodeids"),
            no: attributes.ints("nodes_falsenodeids"),
            missing_is_true: attributes.ints("nodes_missing_value_tracks_true"),
            covers: finite("nodes_hitrates", attributes.floats("nodes_hitrates"))?,
        };
        let nodes = table.trees.len();
        let lengths = [table.ids.len(), table.modes.len(), table.features.len(), table.thresholds.len()];
        let optional = [table.missing_is_true.len(), table.covers.len()];
        if nodes == 0 || nodes > MAX_NODES {
            return unreadable(format!("{nodes} nodes (expected 1 to {MAX_NODES})"));
        }
        if lengths != [nodes; 4]
            || [table.yes.len(), table.no.len()] != [nodes; 2]
            || optional.iter().any(|&length| length != 0 && length != nodes)
        {
            return unreadable("the lists nodes_* differ in length");
        }
        Ok(table)
    }

    /// The rows of each tree: those of one tree follow each other.
    fn trees(&self) -> impl Iterator<Item = Result<std::ops::Range<usize>, Unreadable>> {
        let mut known = FxHashMap::default();
        let mut start = 0;
        self.trees.chunk_by(|one, next| one == next).map(move |run| {
            let rows = start..start + run.len();
            start = rows.end;
            match known.insert(run[0], ()) {
                None => Ok(rows),
                Some(()) => unreadable(format!("the nodes of tree {} stand in two places", run[0])),
            }
        })
    }

    /// Follows the branches from the tree's first node, which must lead to each of its nodes once.
    fn tree(&self, rows: std::ops::Range<usize>, leaves: &mut Leaves) -> Result<Tree, Unreadable> {
        let id = self.trees[rows.start];
        let mut unvisited: FxHashMap<i64, usize> = rows.clone().map(|row| (self.ids[row], row)).collect();
        let mut visit = |node: i64| match unvisited.remove(&node) {
            Some(row) => Ok(row),
            None => unreadable(format!("tree {id} leads to its node {node} twice, or has no such node")),
        };
        let mut tree = Growing::default();
        let mut steps = vec![Step { row: visit(self.ids[rows.start])?, depth: 0, from: None }];
        while let Some(Step { row, depth, from }) = steps.pop() {
            if depth > MAX_DEPTH {
                return unreadable(format!("tree {id} is deeper than {MAX_DEPTH} splits"));
            }
            let branch = if self.modes[row] == b"LEAF" {
                let Some(leaf) = leaves.0.remove(&(id, self.ids[row])) else {
                    return unreadable(format!("leaf {} of tree {id} has no weight", self.ids[row]));
                };
                tree.leaf(leaf, self.covers.get(row)).map_err(|why| Unreadable(format!("tree {id} {why}")))?
            } else {
                let (threshold, missing_goes_low, swapped) = self.condition(row)?;
                let (low, high) = if swapped { (self.no, self.yes) } else { (self.yes, self.no) };
                let split = tree.splits.len();
                let below = |row, side| Step { row, depth: depth + 1, from: Some((split, side)) };
                // The low side is taken first: leaves are numbered from there.
                steps.push(below(visit(high[row])?, Side::High));
                steps.push(below(visit(low[row])?, Side::Low));
                tree.split(self.features[row], threshold, missing_goes_low, self.covers.get(row))
            };
            tree.link(from, branch);
        }
        match unvisited.into_keys().next() {
            Some(node) => unreadable(format!("tree {id} does not lead to its node {node}")),
            None => Ok(tree.grown()),
        }
    }

    /// A node's condition as the greatest number that goes low, whether a missing one does, and whether low is "false".
    fn condition(&self, row: usize) -> Result<(f32, bool, bool), Unreadable> {
        let threshold = self.thresholds[row];
        let missing_is_true = self.missing_is_true.get(row).is_some_and(|&flag| flag != 0);
        match self.modes[row].as_slice() {
            b"BRANCH_LEQ" => Ok((threshold, missing_is_true, false)),
            b"BRANCH_LT" => Ok((threshold.next_down(), missing_is_true, false)),
            b"BRANCH_GT" => Ok((threshold, !missing_is_true, true)),
            b"BRANCH_GTE" => Ok((threshold.next_down(), !missing_is_true, true)),
            other => unreadable(format!("mode {} is not known", String::from_utf8_lossy(other))),
        }
    }
}

/// A tree whose branches are not all known yet.
#[derive(Default)]
struct Growing {
    target: Option<usize>,
    splits: Vec<Split>,
    leaves: Vec<f32>,
    covers: Covers,
}

impl Growing {
    fn leaf(&mut self, (target, weight): (usize, f32), cover: Option<&f32>) -> Result<Branch, String> {
        if self.target.replace(target).is_some_and(|before| before != target) {
            return Err("adds to two targets".to_owned());
        }
        let branch = Branch::Leaf(self.leaves.len() as u32);
        self.leaves.push(weight);
        self.covers.leaves.extend(cover);
        Ok(branch)
    }

    fn split(&mut self, feature: u16, threshold: f32, missing_goes_low: bool, cover: Option<&f32>) -> Branch {
        let branch = Branch::Split(self.splits.len() as u32);
        // Both branches are linked when they are entered.
        self.splits.push(Split { feature, threshold, missing_goes_low, low: branch, high: branch });
        self.covers.splits.extend(cover);
        branch
    }

    fn link(&mut self, from: Option<(usize, Side)>, branch: Branch) {
        match from {
            Some((split, Side::Low)) => self.splits[split].low = branch,
            Some((split, Side::High)) => self.splits[split].high = branch,
            None => {}
        }
    }

    fn grown(self) -> Tree {
        let covers = (self.covers.leaves.len() == self.leaves.len()).then_some(self.covers);
        // A tree that was grown has a leaf, and a leaf has a target.
        Tree { target: self.target.unwrap_or_default(), splits: self.splits, leaves: self.leaves, covers }
    }
}

#[cfg(test)]
mod tests {
    use super::super::laws::Lists;
    use super::*;

    /// A tree of two splits and three leaves: 0 leads to 1 and leaf 4, 1 to the leaves 2 and 3.
    fn lists() -> Lists {
        let split = |feature, low, high| Split { feature, threshold: 1.0, missing_goes_low: true, low, high };
        let tree = Tree {
            target: 0,
            splits: vec![split(0, Branch::Split(1), Branch::Leaf(2)), split(1, Branch::Leaf(0), Branch::Leaf(1))],
            leaves: vec![1.0, 2.0, 3.0],
            covers: None,
        };
        Lists::of(&Ensemble { features: 2, base_values: vec![0.5], trees: vec![tree] }, &["BRANCH_LEQ"])
    }

    fn refusal(file: &[u8], columns: usize) -> String {
        Network::parse(file).and_then(|network| network.ensemble(columns)).unwrap_err().to_string()
    }

    #[test]
    fn a_file_that_is_cut_off_of_another_version_or_without_trees_is_refused() {
        let file = lists().file(3);
        assert!(Network::parse(&file).unwrap().ensemble(2).is_ok());
        for length in 0..file.len() {
            assert!(Network::parse(&file[..length]).is_err(), "{length} of {} bytes", file.len());
        }
        assert!(refusal(&file[..file.len() / 2], 2).starts_with("not an ONNX file: "));
        assert_eq!(refusal(&lists().file(5), 2), "operator set ai.onnx.ml 5, known are 1 to 4");
        let unknown = [&file[..], &[0xf8, 0x07, 1]].concat();
        assert_eq!(refusal(&unknown, 2), "the file has parts that roost does not know and would lose");
        let tiny = include_bytes!("../../tests/models/tiny/1/model.onnx");
        assert_eq!(refusal(tiny, 2), "the network has no TreeEnsembleRegressor");
    }

    #[test]
    fn trees_that_are_none_or_mean_something_else_are_refused_with_the_reason() {
        let with = |change: &dyn Fn(&mut Lists)| {
            let mut lists = lists();
            change(&mut lists);
            refusal(&lists.file(3), 2)
        };
        let int = |name, at: usize, value| with(&|lists| lists.ints.get_mut(name).unwrap()[at] = value);
        let float = |name, value| with(&|lists| lists.floats.get_mut(name).unwrap()[0] = value);
        for (refused, wrong) in [
            (refusal(&lists().file(3), 1), "a split looks at feature 1 of 1"),
            (int("nodes_featureids", 0, -1), "a split looks at feature -1 of 2"),
            (int("nodes_truenodeids", 1, 0), "tree 0 leads to its node 0 twice, or has no such node"),
            (int("nodes_truenodeids", 1, 9), "tree 0 leads to its node 9 twice, or has no such node"),
            (int("nodes_falsenodeids", 0, 1), "tree 0 leads to its node 1 twice, or has no such node"),
            (with(&|lists| lists.modes[1] = "LEAF"), "leaf 1 of tree 0 has no weight"),
            (with(&|lists| lists.modes[1] = "BRANCH_EQ"), "mode BRANCH_EQ is not known"),
            (int("nodes_treeids", 2, 7), "tree 0 leads to its node 4 twice, or has no such node"),
            (int("target_nodeids", 0, 3), "node 3 of tree 0 has two weights"),
            (int("target_nodeids", 0, 0), "leaf 2 of tree 0 has no weight"),
            (int("target_ids", 0, 1), "target 1 of 1"),
            (with(&|lists| lists.ints.get_mut("n_targets").unwrap()[0] = 65), "65 targets (expected 1 to 64)"),
            (with(&|lists| drop(lists.ints.remove("target_ids"))), "the lists target_* differ in length"),
            (with(&|lists| drop(lists.ints.remove("nodes_truenodeids"))), "the lists nodes_* differ in length"),
            (float("nodes_values", f32::INFINITY), "nodes_values has inf"),
            (float("target_weights", f32::NAN), "target_weights has NaN"),
            (float("base_values", f32::NEG_INFINITY), "base_values has -inf"),
            (with(&|lists| lists.words.push(("post_transform", "SOFTMAX"))), "post_transform SOFTMAX, known is NONE"),
            (with(&|lists| lists.words.push(("aggregate_function", "MIN"))), "aggregate_function MIN, known is SUM"),
            (
                with(&|lists| lists.words.push(("nodes_values_as_tensor", ""))),
                "attribute nodes_values_as_tensor is not known",
            ),
            (
                with(&|lists| {
                    lists.ints.insert("n_targets", vec![2]);
                    lists.floats.insert("base_values", vec![1.0, 2.0]);
                }),
                "no tree adds to target 1",
            ),
        ] {
            assert_eq!(refused, wrong);
        }
    }

    #[test]
    fn a_tree_that_would_exhaust_the_stack_is_refused() {
        let splits = (0..=MAX_DEPTH as u32)
            .map(|i| Split {
                feature: 0,
                threshold: 1.0,
                missing_goes_low: false,
                low: if i == MAX_DEPTH as u32 { Branch::Leaf(0) } else { Branch::Split(i + 1) },
                high: Branch::Leaf(MAX_DEPTH as u32 + 1 - i),
            })
            .collect();
        let tree = Tree { target: 0, splits, leaves: vec![0.0; MAX_DEPTH + 2], covers: None };
        let deep = Ensemble { features: 1, base_values: vec![0.0], trees: vec![tree] };
        let file = Lists::of(&deep, &["BRANCH_LEQ"]).file(3);
        assert_eq!(refusal(&file, 1), "tree 0 is deeper than 512 splits");
    }
}
