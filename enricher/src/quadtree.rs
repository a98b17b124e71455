//! Points on the globe by place, so that the nearest to any other place are found without looking at all of them.
//!
//! Pure. Knows no sale: a point is a position, a number that its owner gave it, and a value that is handed back with it (what is
//! asked of most points is then beside them in memory). Two points at one distance are told apart
//! by the owner, so that what is found does not depend on the order in which points came. Deliberately absent: the way
//! across the date line.

use std::cmp::Ordering;

use schemas::units::Position;

/// Most points of a leaf that can still be parted: a scan of so few costs less than another step down.
const LEAF: usize = 24;
/// Side of the smallest square, as a power of two in steps of 1e-5 degrees: 64 steps are about 70 m, a tower's homes are one leaf.
const MIN_SIDE: u32 = 6;
/// Side of the square that holds the globe: 2^26 steps are 671 degrees.
const ROOT_SIDE: u32 = 26;
/// Kilometres of a step of latitude, on a sphere of 6,371.0 km.
const KM_PER_STEP: f64 = 6_371.0 * std::f64::consts::PI / 180.0 / 1e5;
/// Holes that are tolerated before the tree is made anew, beside as many as there are points.
const MIN_HOLES: usize = 1_024;

/// Kilometres between two positions, equirectangular at the latitude of the first.
pub(crate) fn distance_km(here: Position, there: Position) -> f64 {
    let search =
        Search { here: Place::of(here), across: across(here), count: 0, except: None, before: |_, _| Ordering::Equal };
    let there = Place::of(there);
    search.square(there.x, there.y).sqrt() * KM_PER_STEP
}

/// Steps of latitude that a step of longitude is as long as.
fn across(position: Position) -> f64 {
    (f64::from(position.latitude.steps()) / 1e5).to_radians().cos()
}

/// A point's place in steps, counted from the south-west so that none is negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    x: u32,
    y: u32,
}

impl Place {
    fn of(position: Position) -> Self {
        // Both are within the globe by their type.
        let x = (position.longitude.steps() + 18_000_000) as u32;
        let y = (position.latitude.steps() + 9_000_000) as u32;
        Self { x, y }
    }
}

/// A point as it stands in its leaf.
#[derive(Clone, Copy, Debug)]
struct Point {
    place: Place,
    number: u32,
    value: f64,
}

#[derive(Debug)]
enum Node {
    Leaf(Vec<Point>),
    /// The quarters: south-west, south-east, north-west, north-east.
    Inner([u32; 4]),
}

/// The tree.
#[derive(Debug)]
pub(crate) struct Quadtree {
    nodes: Vec<Node>,
    points: usize,
    removed: usize,
}

impl Default for Quadtree {
    fn default() -> Self {
        Self { nodes: vec![Node::Leaf(Vec::new())], points: 0, removed: 0 }
    }
}

/// A point that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Near {
    /// Distance in km.
    pub(crate) km: f64,
    /// Its number.
    pub(crate) point: u32,
    /// Its value.
    pub(crate) value: f64,
}

impl Quadtree {
    pub(crate) fn insert(&mut self, position: Position, number: u32, value: f64) {
        self.insert_point(Point { place: Place::of(position), number, value });
        self.points += 1;
    }

    fn insert_point(&mut self, point: Point) {
        let (mut node, mut side) = (0, ROOT_SIDE);
        loop {
            match &mut self.nodes[node] {
                Node::Inner(quarters) => {
                    side -= 1;
                    node = quarters[quarter(point.place, side)] as usize;
                }
                Node::Leaf(points) => {
                    points.push(point);
                    if points.len() > LEAF && side > MIN_SIDE {
                        self.part(node, side - 1);
                    }
                    return;
                }
            }
        }
    }

    /// Makes four leaves of one, whose sides are 2^`side`. One of them may be as full: it is parted when it is next met.
    fn part(&mut self, node: usize, side: u32) {
        // Fewer than 2^32 nodes: each has 24 bytes at least.
        let first = self.nodes.len() as u32;
        let quarters = Node::Inner([first, first + 1, first + 2, first + 3]);
        let Node::Leaf(points) = std::mem::replace(&mut self.nodes[node], quarters) else { return };
        let mut leaves: [Vec<_>; 4] = std::array::from_fn(|_| Vec::new());
        for point in points {
            leaves[quarter(point.place, side)].push(point);
        }
        self.nodes.extend(leaves.map(Node::Leaf));
    }

    /// Takes out a point that was put in at this position.
    pub(crate) fn remove(&mut self, position: Position, number: u32) {
        let place = Place::of(position);
        let (mut node, mut side) = (0, ROOT_SIDE);
        while let Node::Inner(quarters) = &self.nodes[node] {
            side -= 1;
            node = quarters[quarter(place, side)] as usize;
        }
        if let Node::Leaf(points) = &mut self.nodes[node]
            && let Some(at) = points.iter().position(|other| other.number == number)
        {
            points.swap_remove(at);
            self.points -= 1;
            self.removed += 1;
        }
        if self.removed > self.points + MIN_HOLES {
            self.rebuild();
        }
    }

    /// Leaves that have become empty cost memory and time: a new tree has none.
    fn rebuild(&mut self) {
        let old = std::mem::take(self);
        self.points = old.points;
        for node in old.nodes {
            if let Node::Leaf(points) = node {
                points.into_iter().for_each(|point| self.insert_point(point));
            }
        }
    }

    /// The `count` points nearest to a position, nearest first, without the point `except`. Of two at one distance the one
    /// that `before` puts first is the nearer one.
    ///
    /// Distances are equirectangular at the position's latitude: within 100 km they are true to 1 % up to 60 degrees north.
    pub(crate) fn nearest(
        &self,
        position: Position,
        count: usize,
        except: Option<u32>,
        before: impl Fn(u32, u32) -> Ordering,
    ) -> Vec<Near> {
        let search = Search { here: Place::of(position), across: across(position), count, except, before };
        let mut found = Vec::with_capacity(count + 1);
        if count > 0 {
            search.visit(&self.nodes, 0, Place { x: 0, y: 0 }, ROOT_SIDE, &mut found);
        }
        let near = |(square, point): (f64, Point)| Near {
            km: square.sqrt() * KM_PER_STEP,
            point: point.number,
            value: point.value,
        };
        found.into_iter().map(near).collect()
    }
}

/// Which quarter of a square of twice the side 2^`side` a place lies in.
const fn quarter(place: Place, side: u32) -> usize {
    ((place.x >> side & 1) | (place.y >> side & 1) << 1) as usize
}

struct Search<F> {
    here: Place,
    /// Steps of latitude that a step of longitude is as long as.
    across: f64,
    count: usize,
    except: Option<u32>,
    before: F,
}

impl<F: Fn(u32, u32) -> Ordering> Search<F> {
    /// Square of the distance in steps of latitude.
    fn square(&self, x: u32, y: u32) -> f64 {
        let across = f64::from(x.abs_diff(self.here.x)) * self.across;
        let up = f64::from(y.abs_diff(self.here.y));
        across * across + up * up
    }

    /// The same to the nearest place of a square: never more than to any point in it, by the last bit neither, since every
    /// step of the arithmetic is monotone.
    fn square_to(&self, corner: Place, side: u32) -> f64 {
        let last = (1 << side) - 1;
        self.square(self.here.x.clamp(corner.x, corner.x + last), self.here.y.clamp(corner.y, corner.y + last))
    }

    fn visit(&self, nodes: &[Node], node: usize, corner: Place, side: u32, found: &mut Vec<(f64, Point)>) {
        match &nodes[node] {
            Node::Leaf(points) => {
                for point in points {
                    self.offer(self.square(point.place.x, point.place.y), *point, found);
                }
            }
            Node::Inner(quarters) => {
                let side = side - 1;
                let mut order = [0, 1, 2, 3].map(|at: u32| {
                    let corner = Place { x: corner.x + ((at & 1) << side), y: corner.y + ((at >> 1) << side) };
                    (self.square_to(corner, side), at as usize, corner)
                });
                order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                for (square, at, corner) in order {
                    // A point as far as the last one may still come before it.
                    if found.len() == self.count && found.last().is_some_and(|last| square > last.0) {
                        return;
                    }
                    self.visit(nodes, quarters[at] as usize, corner, side, found);
                }
            }
        }
    }

    fn offer(&self, square: f64, point: Point, found: &mut Vec<(f64, Point)>) {
        let is_full = found.len() == self.count;
        if self.except == Some(point.number) || is_full && found.last().is_some_and(|last| square > last.0) {
            return;
        }
        let order =
            |other: &(f64, Point)| other.0.total_cmp(&square).then_with(|| (self.before)(other.1.number, point.number));
        let at = found.partition_point(|other| order(other).is_lt());
        if at < self.count {
            found.truncate(self.count - 1);
            found.insert(at, (square, point));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn position(latitude: i32, longitude: i32) -> Position {
        Position::from_degrees(f64::from(latitude) / 1e5, f64::from(longitude) / 1e5).unwrap()
    }

    fn numbers(near: &[Near]) -> Vec<u32> {
        near.iter().map(|near| near.point).collect()
    }

    #[test]
    fn a_distance_is_in_kilometres() {
        let mut tree = Quadtree::default();
        tree.insert(position(4_800_000, -12_200_000), 1, 0.5);
        tree.insert(position(4_700_000, -12_300_000), 2, 2.5);
        let near = tree.nearest(position(4_700_000, -12_200_000), 2, None, |a, b| a.cmp(&b));
        // A degree of longitude at 47° north, and a degree of latitude (Snyder, Map Projections, 1987, table 1: 76.1, 111.2).
        assert_eq!((numbers(&near), near[0].value), (vec![2, 1], 2.5));
        assert!((near[0].km - 75.8).abs() < 0.1 && (near[1].km - 111.2).abs() < 0.1, "{near:?}");
    }

    #[test]
    fn an_empty_tree_finds_nothing_and_removed_points_are_not_found() {
        let mut tree = Quadtree::default();
        assert!(tree.nearest(position(0, 0), 3, None, |a, b| a.cmp(&b)).is_empty());
        (0..5_000).for_each(|n| tree.insert(position(n as i32, 0), n, 0.0));
        (0..4_999).for_each(|n| tree.remove(position(n as i32, 0), n));
        assert_eq!(numbers(&tree.nearest(position(0, 0), 3, None, |a, b| a.cmp(&b))), [4_999]);
        assert_eq!(tree.points, 1);
        assert!(tree.nodes.len() < 2_000, "the holes of {} nodes were kept", tree.nodes.len());
    }

    proptest! {
        #[test]
        fn the_nearest_are_those_that_a_look_at_all_of_them_finds(
            points in prop::collection::vec((0_i32..400, 0_i32..400, any::<bool>()), 0..300),
            scale in prop::sample::select(vec![1_i32, 50, 20_000]),
            here in (0_i32..400, 0_i32..400), count in 0_usize..40, except in prop::option::of(0_u32..300),
        ) {
            let place = |(y, x): (i32, i32)| position(y * scale, (x - 200) * scale);
            let mut tree = Quadtree::default();
            for (n, (y, x, _)) in (0..).zip(&points) {
                tree.insert(place((*y, *x)), n, 0.0);
            }
            for (n, (y, x, _)) in (0..).zip(&points).filter(|(_, p)| !p.2) {
                tree.remove(place((*y, *x)), n);
            }
            // Of two at one distance the one with the greater number comes first.
            let found = tree.nearest(place(here), count, except, |a, b| b.cmp(&a));

            let across = (f64::from(here.0 * scale) / 1e5).to_radians().cos();
            let mut all: Vec<(f64, u32)> = (0..).zip(&points).filter(|(n, p)| p.2 && Some(*n) != except).map(|(n, (y, x, _))| {
                let (dx, dy) = (f64::from((x - here.1).abs() * scale) * across, f64::from((y - here.0).abs() * scale));
                (dx * dx + dy * dy, n)
            }).collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
            let expected: Vec<u32> = all.into_iter().take(count).map(|(_, n)| n).collect();
            prop_assert_eq!(numbers(&found), expected);
        }
    }
}
