-- ListingMark in two tables. The generated columns are the score's part that a listing has whoever asks, per profile, as
-- `Weights::merits` has it; $m0 to $m3 are put in from weights.csv.
DROP FUNCTION IF EXISTS apply_change;
DROP TABLE IF EXISTS listings, sessions;

-- Half-full pages, so that most updates stay on theirs.
CREATE TABLE listings (
    id int PRIMARY KEY, market int NOT NULL, price int NOT NULL, bedrooms int NOT NULL, commute int NOT NULL,
    school int NOT NULL, deal int NOT NULL, trend int NOT NULL, day int NOT NULL, amenities int NOT NULL,
    is_offered bool NOT NULL,
    m0 int NOT NULL GENERATED ALWAYS AS ($m0) STORED, m1 int NOT NULL GENERATED ALWAYS AS ($m1) STORED,
    m2 int NOT NULL GENERATED ALWAYS AS ($m2) STORED, m3 int NOT NULL GENERATED ALWAYS AS ($m3) STORED
) WITH (fillfactor = 50);

CREATE TABLE sessions (
    id int PRIMARY KEY, market int NOT NULL, budget int NOT NULL, min_bedrooms int NOT NULL, max_commute int NOT NULL,
    min_school int NOT NULL, required int NOT NULL, preferred int NOT NULL, profile int NOT NULL,
    -- Weights of the profile, and how many amenities are preferred.
    w_affordability int, w_space int, w_commute int, w_amenities int, preferences int,
    -- What the session sees, the best first; `third` is the rank of the third, -1 where there is none. A rank is the score
    -- times 2^32 less the listing's number: the greater is the better.
    ids int[] NOT NULL DEFAULT '{}', scores int[] NOT NULL DEFAULT '{}', third bigint NOT NULL DEFAULT -1
) WITH (fillfactor = 50);
