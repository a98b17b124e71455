//! The SQL of the peer: the score, the best three of a session, and what one change does. Builds text, runs none of it.

use mark::score::Weights;

/// The filters for a listing `l` and a session `s` of one market.
fn passes(l: &str) -> String {
    format!(
        "{l}.is_offered AND {l}.price <= s.budget AND {l}.bedrooms >= s.min_bedrooms AND {l}.commute <= s.max_commute
         AND {l}.school >= s.min_school AND {l}.amenities & s.required = s.required"
    )
}

/// The score of a listing `l` for a session `s` that passes.
fn score(l: &str) -> String {
    format!(
        "(CASE s.profile WHEN 0 THEN {l}.m0 WHEN 1 THEN {l}.m1 WHEN 2 THEN {l}.m2 ELSE {l}.m3 END
         + s.w_affordability * least(4095, (s.budget - {l}.price)::bigint * 10240 / s.budget)::int
         + s.w_space * CASE {l}.bedrooms - s.min_bedrooms WHEN 0 THEN 2048 WHEN 1 THEN 3072 ELSE 4095 END
         + s.w_commute * ((s.max_commute - {l}.commute) * 4095 / s.max_commute)
         + s.w_amenities * CASE s.preferences WHEN 0 THEN 2048
             ELSE bit_count((s.preferred & {l}.amenities)::bit(24))::int * 4095 / s.preferences END)"
    )
}

/// The rank of the third of `r`; see `tables.sql`.
const THIRD: &str = "coalesce(r.scores[3] * 4294967296 - r.ids[3], -1)";

/// The tables, empty.
pub fn tables(weights: &Weights) -> String {
    let mut text = include_str!("tables.sql").to_owned();
    for (number, [_, place, _, _, schools, _, value, momentum]) in weights.rows().iter().enumerate() {
        let merit = format!(
            "4095 * {place} + school * 4095 / 100 * {schools} + deal * 4095 / 100 * {value} \
             + (CASE trend WHEN 0 THEN 1200 WHEN 1 THEN 600 ELSE 0 END + least(day, 400) * 2895 / 400) * {momentum}"
        );
        text = text.replace(&format!("$m{number}"), &merit);
    }
    text
}

/// Puts the profile's weights beside each session, then builds the indexes and lays rows out by them.
pub fn indexes(weights: &Weights) -> String {
    let rows = weights
        .rows()
        .iter()
        .enumerate()
        .map(|(number, w)| format!("({number}, {}, {}, {}, {})", w[0], w[2], w[3], w[5]));
    format!(
        "UPDATE sessions SET w_affordability = w.a, w_space = w.s, w_commute = w.c, w_amenities = w.m,
             preferences = bit_count(preferred::bit(24))
         FROM (VALUES {}) w (profile, a, s, c, m) WHERE sessions.profile = w.profile;
         CREATE INDEX listings_by_price ON listings (market, price)
             INCLUDE (bedrooms, commute, school, amenities, m0, m1, m2, m3, id, is_offered) WHERE is_offered;
         CREATE INDEX sessions_by_budget ON sessions (market, budget);
         CREATE INDEX by_price ON listings (market, price);
         CLUSTER listings USING by_price; DROP INDEX by_price; CLUSTER sessions USING sessions_by_budget;",
        rows.collect::<Vec<_>>().join(", ")
    )
}

/// All listings of a session `s`.
fn search() -> String {
    format!("SELECT l.id, {} AS score FROM listings l WHERE l.market = s.market AND {}", score("l"), passes("l"))
}

/// What every session sees, from nothing.
pub fn first() -> String {
    format!(
        "UPDATE sessions t SET ids = r.ids, scores = r.scores, third = {THIRD}
         FROM sessions s CROSS JOIN LATERAL (
             SELECT coalesce(array_agg(id), '{{}}') AS ids, coalesce(array_agg(score), '{{}}') AS scores
             FROM ({} ORDER BY score DESC, id LIMIT 3) best) r
         WHERE t.id = s.id",
        search()
    )
}

/// The best three for a preference that is not stored: its columns from `market` to `preferences` are the parameters.
pub fn preference() -> String {
    format!(
        "SELECT id, score FROM (
             SELECT $1::int AS market, $2::int AS budget, $3::int AS min_bedrooms, $4::int AS max_commute, $5::int AS min_school,
                 $6::int AS required, $7::int AS preferred, $8::int AS profile, $9::int AS w_affordability, $10::int AS w_space,
                 $11::int AS w_commute, $12::int AS w_amenities, $13::int AS preferences) s
         CROSS JOIN LATERAL ({}) best ORDER BY score DESC, id LIMIT 3",
        search()
    )
}

/// A function that applies a listing's whole new row and returns how many sessions see something else.
///
/// A session is looked at when it has the listing, or when the listing now reaches its third. If the listing ranks at or above
/// the third, nobody outside can pass it, and it is put among those that the session has; otherwise all listings are searched.
pub fn apply_change() -> String {
    format!(
        "CREATE FUNCTION apply_change(c_id int, c_market int, c_price int, c_bedrooms int, c_commute int, c_school int,
             c_deal int, c_trend int, c_day int, c_amenities int, c_is_offered bool) RETURNS int LANGUAGE plpgsql AS $f$
         DECLARE lower int; c_row listings; touched int;
         BEGIN
             SELECT least(price, c_price) INTO STRICT lower FROM listings WHERE id = c_id;
             UPDATE listings SET price = c_price, bedrooms = c_bedrooms, commute = c_commute, school = c_school,
                 deal = c_deal, trend = c_trend, day = c_day, amenities = c_amenities, is_offered = c_is_offered
                 WHERE id = c_id RETURNING * INTO c_row;
             UPDATE sessions t SET ids = r.ids, scores = r.scores, third = {THIRD}
             FROM sessions s
             CROSS JOIN LATERAL (SELECT CASE WHEN {passes} THEN {score} * 4294967296 - c_id ELSE -2 END AS rank) n
             CROSS JOIN LATERAL (SELECT n.rank >= s.third AS stays) k
             CROSS JOIN LATERAL (
                 SELECT coalesce(array_agg(id), '{{}}') AS ids, coalesce(array_agg(score), '{{}}') AS scores FROM (
                     SELECT * FROM (
                         SELECT u.id, u.score FROM unnest(s.ids, s.scores) u (id, score) WHERE k.stays AND u.id <> c_id
                         UNION ALL SELECT c_id, ((n.rank + c_id) / 4294967296)::int WHERE k.stays
                         UNION ALL SELECT * FROM (SELECT * FROM ({search}) every WHERE NOT k.stays
                             ORDER BY score DESC, id LIMIT 3) searched
                     ) candidates ORDER BY score DESC, id LIMIT 3) best) r
             WHERE t.id = s.id AND s.market = c_market AND s.budget >= lower AND (c_id = ANY (s.ids) OR k.stays);
             GET DIAGNOSTICS touched = ROW_COUNT;
             RETURN touched;
         END $f$",
        search = search(),
        // The row as it is now.
        passes = passes("c_row"),
        score = score("c_row"),
    )
}
