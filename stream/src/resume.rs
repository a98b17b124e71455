//! Where a reader goes on when the log may have lost what it wants to read, and saying so loudly.

use schemas::topic::Topic;

use crate::metrics;

/// Where to read on, given where the log begins and ends; says so loudly when records are gone.
pub(crate) fn at(whose: &str, topic: Topic, partition: u32, offset: u64, low: u64, high: u64) -> u64 {
    if offset < low {
        let lost = low - offset;
        metrics::record_lost_to_retention(topic, lost);
        tracing::error!(
            topic = topic.name(),
            partition,
            lost,
            "{topic}/{partition}: {lost} records lost to retention: {whose} is {offset}, the log begins at {low}; publish \
             again what they held, and make the topic's retention longer than the longest outage"
        );
        low
    } else if offset > high {
        tracing::error!(
            topic = topic.name(),
            partition,
            "{topic}/{partition}: {whose} is {offset}, but the log ends at {high}: it was made anew or has lost records; \
             reading it from its beginning"
        );
        low
    } else {
        offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_goes_on_where_records_are_left() {
        let at = |offset| super::at("the position", Topic::Listings, 0, offset, 10, 20);
        assert_eq!([at(3), at(10), at(15), at(20), at(21)], [10, 10, 15, 20, 10]);
    }
}
