//! Seeded sessions for the Seattle feed: what people there look for.

use schemas::id::{SessionId, SessionToken};
use schemas::preferences::Preferences;

/// Session `n` of a seed: its token and its statement. No school filter: nobody publishes ratings there.
pub fn session(seed: u64, n: u64) -> (SessionToken, Preferences) {
    let mut state = seed ^ n.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut below = |limit: u64| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16) % limit
    };
    let zips = ["98101", "98103", "98107", "98115", "98118", "98122", "98144", "98405", "98407", "98199"];
    let place = match below(10) {
        0..=4 => serde_json::json!({"cities": ["us/wa/seattle"]}),
        5 => serde_json::json!({"cities": ["us/wa/seattle", "us/wa/tacoma"]}),
        6 => {
            serde_json::json!({"postal_codes": [format!("us/{}", zips[below(10) as usize]), format!("us/{}", zips[below(10) as usize])]})
        }
        7 | 8 => serde_json::json!({"within": {
            "latitude": (4_720_000 + below(52_000)) as f64 / 100_000.0,
            "longitude": -((12_220_000 + below(20_000)) as f64) / 100_000.0,
            "radius_km": (1 + below(15)) as f64
        }}),
        _ => serde_json::json!({"country": "us"}),
    };
    let profile = ["balanced", "value", "family", "commuter"][below(4) as usize];
    let kind = ["SingleFamilyResidence", "Townhouse", "Condominium"][below(3) as usize];
    let mut statement = serde_json::json!({
        "budget": 250_000 + 25_000 * below(70),
        "currency": "USD",
        "place": place,
        "profile": profile,
    });
    let wishes = [
        ("min_bedrooms", serde_json::json!(below(5))),
        ("min_bathrooms", serde_json::json!((2 + below(5)) as f64 / 2.0)),
        ("min_living_area_sqft", serde_json::json!(500 + 100 * below(20))),
        ("property_sub_types", serde_json::json!([kind])),
        ("max_commute_minutes", serde_json::json!(10 + below(50))),
        ("include_coming_soon", serde_json::json!(true)),
        ("include_under_contract", serde_json::json!(true)),
    ];
    for (name, value) in wishes {
        if below(100) < 30 {
            statement[name] = value;
        }
    }
    let token = SessionToken::from_bits(u128::from(seed) << 64 | u128::from(n));
    let preferences =
        Preferences::parse(statement.to_string().as_bytes()).unwrap_or_else(|faults| panic!("{statement}: {faults:?}"));
    (token, preferences)
}

/// The id of a seeded session.
pub fn id(seed: u64, n: u64) -> SessionId {
    session(seed, n).0.session_id()
}
