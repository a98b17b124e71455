//! Features that no model may see: what the people of a place are, and what stands for it by name.
//!
//! The seven classes of the United States' Fair Housing Act (42 U.S.C. § 3604 f.; ECOA, 15 U.S.C. § 1691, adds age). A
//! feature of a listing has a name that its feed gave it, and the name is all that can be judged here: whether an innocent one
//! (a postal code) stands for a class in some market is a question to the model's errors. Pure.

/// What a name may speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ground {
    /// For a person.
    name: &'static str,
    /// Words that tell it wherever they stand, also as the value of an attribute. Several words stand one after the other.
    words: &'static [&'static str],
}

const GROUNDS: &[Ground] = &[
    Ground {
        name: "race or colour",
        words: &[
            "race",
            "races",
            "racial",
            "ethnic",
            "ethnicity",
            "caucasian",
            "african american",
            "native american",
            "indigenous",
            "tribe",
            "tribal",
            "minority",
            "minorities",
            "nonwhite",
            "non white",
            "poc",
            "segregation",
            "demographic",
            "demographics",
            "redlined",
            "redlining",
        ],
    },
    Ground {
        name: "national origin",
        words: &[
            "hispanic",
            "hispanics",
            "latino",
            "latina",
            "latinx",
            "national origin",
            "nationality",
            "ancestry",
            "immigrant",
            "immigrants",
            "immigration",
            "citizenship",
            "noncitizen",
            "foreign born",
            "birthplace",
            "native born",
            "surname",
            "language spoken",
            "english speaking",
            "limited english",
        ],
    },
    Ground {
        name: "religion",
        words: &[
            "religion",
            "religions",
            "religious",
            "church",
            "churches",
            "mosque",
            "mosques",
            "synagogue",
            "synagogues",
            "christian",
            "christians",
            "catholic",
            "protestant",
            "muslim",
            "muslims",
            "islamic",
            "jewish",
            "hindu",
            "buddhist",
            "mormon",
            "creed",
        ],
    },
    Ground { name: "sex", words: &["sex", "gender", "male", "males", "female", "females", "lgbt", "lgbtq", "sexual"] },
    Ground {
        name: "familial status",
        words: &[
            "familial",
            "marital",
            "married",
            "unmarried",
            "divorced",
            "children",
            "child",
            "kids",
            "pregnant",
            "pregnancy",
            "single parent",
            "single parents",
            "single mother",
            "family size",
            "family status",
            "household size",
            "household type",
            "household composition",
            "with families",
            "fertility",
        ],
    },
    Ground {
        name: "disability",
        words: &["disability", "disabilities", "disabled", "handicap", "handicapped", "impairment", "ssdi"],
    },
    Ground {
        name: "age of people",
        words: &[
            "median age",
            "mean age",
            "average age",
            "owner age",
            "buyer age",
            "seller age",
            "resident age",
            "tenant age",
            "population age",
            "age group",
            "age distribution",
            "elderly",
            "senior",
            "seniors",
            "retirees",
            "over 65",
            "over 62",
            "over 55",
            "55 plus",
            "62 plus",
            "under 18",
            "adults only",
            "adult only",
            "active adult",
        ],
    },
];

/// Words for the colour of people, and of walls: they count in the name of an attribute, not in its value.
const COLOURS: &[&str] = &["white", "whites", "black", "blacks", "asian", "asians"];

/// Words beside which a colour is one of people, written as one word with it.
const SHARES: &[&str] = &["pct", "percent", "share", "prop", "pop", "population"];

/// What a feature's name speaks of that no price may depend on; `None` for a name that may be used. A name of other letters
/// than ASCII's could look like any word and be none.
pub fn ground_against(name: &str, value: Option<&str>) -> Option<&'static str> {
    if !name.is_ascii() {
        return Some("it is not known what (its letters are not ASCII's)");
    }
    let name = words(name);
    let value = value.map(words).unwrap_or_default();
    let says = |phrase: &str| {
        let phrase: Vec<&str> = phrase.split(' ').collect();
        [&name, &value].into_iter().any(|words| words.windows(phrase.len()).any(|window| window == phrase))
    };
    let is_of_people = |word: &str| {
        let rest = COLOURS.iter().flat_map(|colour| [word.strip_prefix(colour), word.strip_suffix(colour)]).flatten();
        COLOURS.contains(&word) || rest.into_iter().any(|rest| SHARES.contains(&rest))
    };
    if name.iter().any(|word| is_of_people(word)) {
        return Some(GROUNDS[0].name);
    }
    GROUNDS.iter().find(|ground| ground.words.iter().any(|phrase| says(phrase))).map(|ground| ground.name)
}

/// The words of a name in any spelling, in lower case: `PctForeign_born` is pct, foreign, born.
fn words(name: &str) -> Vec<String> {
    let (mut words, mut word, mut before) = (Vec::new(), String::new(), None);
    for (c, after) in name.chars().zip(name.chars().skip(1).map(Some).chain([None])) {
        let starts = match before {
            Some(before) => changes(before, c, after),
            None => false,
        };
        if (starts || !c.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        before = Some(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Whether a word begins with `c`: after a small letter a capital, before a small letter the last of several capitals, a digit
/// after a letter and a letter after a digit.
fn changes(before: char, c: char, after: Option<char>) -> bool {
    let last_capital = before.is_uppercase() && c.is_uppercase() && after.is_some_and(char::is_lowercase);
    before.is_lowercase() && c.is_uppercase() || last_capital || before.is_numeric() != c.is_numeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_apart_into_words_however_it_is_spelt() {
        assert_eq!(words("PctForeign_born-2020 YN"), ["pct", "foreign", "born", "2020", "yn"]);
        assert_eq!(words("HOAFeeUSD"), ["hoa", "fee", "usd"]);
        assert!(words("--").is_empty());
    }

    #[test]
    fn what_people_are_is_denied_by_its_ground() {
        for (name, value, ground) in [
            ("PercentHispanic", None, "national origin"),
            ("pct_black", None, "race or colour"),
            ("WhiteShare", None, "race or colour"),
            ("census_race_2020", None, "race or colour"),
            ("BuyerGender", None, "sex"),
            ("Buyer", Some("Female"), "sex"),
            ("distance_to_church_km", None, "religion"),
            ("HouseholdsWithChildren", None, "familial status"),
            ("householdSize", None, "familial status"),
            ("DISABLED_RESIDENTS", None, "disability"),
            ("MedianAge", None, "age of people"),
            ("SeniorCommunityYN", None, "age of people"),
            ("Over65", None, "age of people"),
            ("over55", None, "age of people"),
            ("55PlusYN", None, "age of people"),
            ("adults_only", None, "age of people"),
            ("pctblack", None, "race or colour"),
            ("BLACKPCT", None, "race or colour"),
            ("r\u{430}ce", None, "it is not known what (its letters are not ASCII's)"),
            // A track for horses: a name that can be misread is to be spelt otherwise.
            ("RaceTrackKm", None, "race or colour"),
        ] {
            assert_eq!(ground_against(name, value), Some(ground), "{name}");
        }
    }

    #[test]
    fn what_a_home_is_may_be_used() {
        for (name, value) in [
            ("grade", None),
            ("BuildingAge", None),
            ("FamilyRoomYN", None),
            ("AccessibilityFeatures", None),
            ("Essex", None),
            ("trace", None),
            ("WallColor", Some("white")),
            ("DrivewayBlacktop", None),
            ("zipcode", Some("98178")),
            ("Sussex_County", None),
        ] {
            assert_eq!(ground_against(name, value), None, "{name}");
        }
    }
}
