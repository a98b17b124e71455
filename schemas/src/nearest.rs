//! What somebody meant who misspelt a word: for error messages alone.

/// The word nearest to `text`, if it is near enough to be meant: at most a third of its letters differ.
pub fn nearest<'a>(text: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer than any word there is: nothing is near, and the distance costs the square.
    if text.len() > 64 {
        return None;
    }
    let text = text.to_ascii_lowercase();
    words
        .into_iter()
        .map(|word| (distance(&text, &word.to_ascii_lowercase()), word))
        .filter(|(distance, word)| *distance * 3 <= word.len())
        .min()
        .map(|(_, word)| word)
}

/// How many bytes to insert, delete or replace (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let words = ["min_bedrooms", "min_bathrooms", "budget", "place"];
        assert_eq!(nearest("min_bedroom", words), Some("min_bedrooms"));
        assert_eq!(nearest("Budgets", words), Some("budget"));
        assert_eq!(nearest("colour", words), None);
        assert_eq!(nearest("ListPirce", ["ListPrice", "City"]), Some("ListPrice"));
        assert_eq!(nearest("", words), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
