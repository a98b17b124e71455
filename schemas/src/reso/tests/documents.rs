//! The page for people says what the code does.

use crate::reso::fields::Field;

const PAGE: &str = include_str!("../../../../docs/listings.md");

#[test]
fn the_page_tells_of_every_member_that_is_read() {
    for field in Field::ALL {
        assert!(PAGE.contains(&format!("`{}`", field.name())), "docs/listings.md does not tell of {}", field.name());
    }
}
