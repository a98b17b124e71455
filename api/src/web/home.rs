//! `/homes/{id}`: one home, with its prices over time and homes like it. Shows what the API would: its seller's rules are kept there.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use schemas::priced::NoValuation;
use schemas::vocabulary::Transaction;

use super::Page;
use super::card::{facts, price_chart, prices};
use super::frame::{Frame, answer};
use super::picks::now;
use super::scale::Scale;
use super::words::{self, Change};
use crate::problem::Problem;
use crate::property::{History, PastPoint, Property};
use crate::routes::{property, similar};
use crate::segment::Segments;

/// Most homes like it that are shown: two rows.
const MOST_ALIKE: usize = 6;

/// The page.
#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    frame: Frame,
    title: String,
    place: String,
    place_path: String,
    status: Option<&'static str>,
    price: Option<String>,
    is_rent: bool,
    photo: Option<String>,
    link: Option<String>,
    facts: Vec<String>,
    details: Vec<(&'static str, String)>,
    amenities: Vec<String>,
    remarks: Option<String>,
    change: Change,
    changed_when: String,
    scale: Option<Scale>,
    no_valuation: Option<&'static str>,
    deal: Option<u8>,
    chart: Option<String>,
    history: Vec<Past>,
    alike: Vec<Alike>,
}

/// A line of the history.
struct Past {
    day: String,
    what: String,
    price: String,
}

/// A home like it.
struct Alike {
    title: String,
    path: String,
    photo: Option<String>,
    price: String,
    facts: Vec<String>,
}

/// Shows a home.
pub async fn read(State(page): State<Arc<Page>>, Segments(id): Segments<String>) -> Result<Response, Problem> {
    let app = &page.app;
    let fact = property::fact_of(app, &id).await?.ok_or_else(property::not_found)?;
    let history = History::of(fact.clone()).ok_or_else(property::not_found)?;
    // Who may be shown has a property, see there.
    let home = Property::of(fact.clone()).ok_or_else(property::not_found)?;
    let alike = similar::find(app, fact.listing).await?.items;
    let alike = alike.into_iter().take(MOST_ALIKE).map(|similar| alike_of(&similar.property)).collect();
    answer(StatusCode::OK, &page_of(&home, &history, alike))
}

fn page_of(home: &Property, history: &History, alike: Vec<Alike>) -> HomePage {
    let (listing, now) = (&home.listing, now());
    let title = title(home);
    let money = |amount| words::money(amount, listing.currency);
    let price = listing.list_price.map(money);
    let asked = listing.list_price;
    let points = prices(history);
    HomePage {
        frame: Frame::of(title.clone(), ""),
        place: words::place(&listing.market),
        place_path: format!("/markets/{}", listing.market),
        status: words::status(listing.standard_status),
        photo: words::picture(listing.photo_url.as_deref()),
        link: words::web_link(listing.listing_url.as_deref()),
        facts: facts(listing.bedrooms_total, listing.bathrooms_total.map(|b| b.to_string()), listing.living_area_sqft),
        details: details(home),
        amenities: amenities(home),
        remarks: listing.public_remarks.clone(),
        change: words::change(home.last_change, listing.list_price, home.previous_list_price),
        changed_when: words::when(home.changed_at, now),
        scale: home.valuation.as_ref().map(|v| Scale::of(v.prices(), asked, listing.currency)),
        no_valuation: home.no_valuation.map(why_not),
        deal: home.deal.as_ref().map(|deal| deal.score),
        chart: price_chart("price", &title, points, now, listing.currency),
        history: history.items.iter().rev().map(|point| past(point, history)).collect(),
        alike,
        price,
        is_rent: listing.transaction == Transaction::Lease,
        title,
    }
}

fn title(home: &Property) -> String {
    let listing = &home.listing;
    listing.unparsed_address.clone().unwrap_or_else(|| match listing.bedrooms_total {
        Some(beds) => format!("{beds}-bedroom home in {}", words::place(&listing.market)),
        None => format!("Home in {}", words::place(&listing.market)),
    })
}

fn details(home: &Property) -> Vec<(&'static str, String)> {
    let listing = &home.listing;
    let grouped = |n: u32| words::grouped(n.into());
    let money = |amount| words::money(amount, listing.currency);
    let commute = home.commute.map(|commute| {
        let estimated = if commute.estimated { " (estimated)" } else { "" };
        format!("{} min to the centre{estimated}", commute.minutes)
    });
    let all = [
        ("Kind", listing.property_sub_type.map(|kind| words::spaced(kind.as_str()))),
        ("Built", listing.year_built.map(|year| year.to_string())),
        ("Lot", listing.lot_size_sqft.map(|n| format!("{} sq ft", grouped(n)))),
        ("Commute", commute),
        ("Schools", listing.school_rating.map(|rating| format!("{rating} of 10"))),
        ("Association fee", listing.association_fee_monthly.map(|fee| format!("{} a month", money(fee)))),
        ("First price", home.original_list_price.map(money)),
        ("Sold for", listing.close_price.map(money)),
        ("On the market", listing.on_market_at.map(|at| format!("since {}", at.day().strftime("%-d %b %Y")))),
        ("First seen", Some(home.first_seen_at.day().strftime("%-d %b %Y").to_string())),
        ("Listed by", listing.originating_system_name.clone()),
        ("MLS number", listing.mls_number.clone()),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn amenities(home: &Property) -> Vec<String> {
    let known = home.listing.amenities.iter().flat_map(|set| set.words().map(words::spaced));
    known.chain(home.listing.other_amenities.iter().cloned()).collect()
}

fn why_not(why: NoValuation) -> &'static str {
    match why {
        NoValuation::MarketNotCovered => "The model does not cover this market.",
        NoValuation::MissingFeatures => "The listing does not say enough to be valued.",
        NoValuation::SellerOptedOut => "The seller does not want a valuation to be shown.",
        NoValuation::BadPrediction => "The model gave no usable number.",
        NoValuation::NotOffered => "Homes that are not on offer are not valued.",
    }
}

fn past(point: &PastPoint, history: &History) -> Past {
    let amount = point.close_price.or(point.list_price);
    Past {
        day: point.at.day().to_string(),
        what: point.change.map_or_else(
            || words::spaced(point.standard_status.as_str()),
            |change| words::spaced(&format!("{change:?}")),
        ),
        price: amount.map(|amount| words::money(amount, history.currency)).unwrap_or_default(),
    }
}

fn alike_of(home: &Property) -> Alike {
    let listing = &home.listing;
    Alike {
        title: title(home),
        path: words::path_of(&listing.listing_id),
        photo: words::picture(listing.photo_url.as_deref()),
        price: listing.list_price.map(|price| words::money(price, listing.currency)).unwrap_or_default(),
        facts: facts(listing.bedrooms_total, listing.bathrooms_total.map(|b| b.to_string()), listing.living_area_sqft),
    }
}
