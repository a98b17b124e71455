//! What is said when the three change while somebody looks: one sentence per home, for a live region. Pure.

use schemas::recommendation::RecommendedItem;

use super::words;

/// What is new. `before`: what was shown; `None` when that is not known.
pub fn news(before: Option<&[RecommendedItem]>, after: &[RecommendedItem]) -> String {
    let Some(before) = before else { return "Your homes have changed.".to_owned() };
    let mut said = Vec::new();
    for item in after {
        let title = &item.title;
        match before.iter().find(|other| other.listing_id == item.listing_id) {
            None => {
                let price = words::money(item.list_price, item.currency);
                said.push(format!("New at number {}: {title}, {price}.", item.rank));
            }
            Some(old) if old.list_price != item.list_price => {
                let price = words::money(item.list_price, item.currency);
                let percent = words::percent(old.list_price, item.list_price);
                let way = if item.list_price < old.list_price { "Price cut" } else { "Price up" };
                let place = moved(old, item).map(|rank| format!(", now number {rank}")).unwrap_or_default();
                said.push(format!("{way} {percent}: {title} is {price}{place}."));
            }
            Some(old) if old.standard_status != item.standard_status => {
                let status = words::status(item.standard_status).unwrap_or("On the market");
                said.push(format!("{title}: {}.", status.to_lowercase()));
            }
            Some(old) => said.extend(moved(old, item).map(|rank| format!("{title} is now number {rank}."))),
        }
    }
    for gone in before.iter().filter(|old| after.iter().all(|item| item.listing_id != old.listing_id)) {
        said.push(format!("{} is no longer among them.", gone.title));
    }
    said.join(" ")
}

fn moved(old: &RecommendedItem, item: &RecommendedItem) -> Option<u8> {
    (old.rank != item.rank).then_some(item.rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(rank: u8, key: &str, price: i64) -> RecommendedItem {
        serde_json::from_value(serde_json::json!({
            "rank": rank, "listing_id": format!("f:{key}"), "score": 800, "last_change": "NewListing",
            "content_version": schemas::version::ListingVersion::default(), "changed_at": "2026-11-25T12:00:00.000Z",
            "components": [], "title": format!("{key} Pine St"), "market": "us/wa/seattle", "standard_status": "Active",
            "list_price": price, "currency": "USD",
        }))
        .unwrap()
    }

    #[test]
    fn each_change_is_one_sentence() {
        let before = [item(1, "1", 500_000), item(2, "2", 400_000), item(3, "3", 300_000)];
        let after = [item(1, "2", 384_000), item(2, "1", 500_000), item(3, "4", 450_000)];
        assert_eq!(
            news(Some(&before), &after),
            "Price cut 4 %: 2 Pine St is $384,000, now number 1. 1 Pine St is now number 2. New at number 3: 4 Pine St, $450,000. \
             3 Pine St is no longer among them."
        );
        assert_eq!(news(Some(&before), &before), "");
        assert_eq!(news(None, &after), "Your homes have changed.");
    }
}
