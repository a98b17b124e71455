//! What only a log with groups has: enrichers that share the partitions.

use enricher::Drained;
use schemas::topic::Topic;

use crate::house::{PARTITIONS, PATIENCE, kafka, listing};

#[test]
fn two_enrichers_share_the_partitions_and_one_takes_over_the_others() {
    let Some(house) = kafka() else { return };
    let appraiser = house.appraiser();
    let (a, b) = (house.enricher_named("a", appraiser.clone()), house.enricher_named("b", appraiser));
    house.state((0..100).map(|i| listing(&format!("f:{i}"), 1, "Active", 300_000)));
    house.until("a hundred facts", || Some(house.facts()).filter(|facts| facts.len() == 100));
    let partitions: std::collections::BTreeSet<_> =
        house.read_all(Topic::ListingsPriced).iter().map(|record| record.partition).collect();
    assert_eq!(partitions.len(), PARTITIONS as usize);

    a.stop(PATIENCE);
    house.state((0..100).map(|i| listing(&format!("f:{i}"), 2, "Active", 290_000)));
    house.until("a hundred price cuts", || {
        Some(house.facts()).filter(|facts| facts.values().all(|fact| fact.history.len() == 2))
    });
    assert_eq!(b.stop(PATIENCE), Drained::Clean);
    house.is_sound();
}
