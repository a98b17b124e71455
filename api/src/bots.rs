//! Which `User-Agent`s are programs that read pages by themselves: what they do says nothing of a person. Pure.
//!
//! A short list of words in place of a long list of names: nearly all call themselves a bot, a crawler or a spider. Libraries
//! and `curl` are not on it: they may well speak for a person. Who does not say what it is is not found here.

/// In lower case. Names stand beside the words only where they hold none of them.
const WORDS: &[&str] = &[
    "bot",
    "crawl",
    "spider",
    "slurp",
    "scrape",
    "archiver",
    "facebookexternalhit",
    "headlesschrome",
    "phantomjs",
    "lighthouse",
    "mediapartners-google",
    "google-read-aloud",
    "googleother",
    "bingpreview",
    "pingdom",
    "statuscake",
    "site24x7",
    "chatgpt-user",
    "perplexity-user",
];
/// Words of devices of people that hold one of those.
const NO_BOTS: &[&str] = &["cubot"];

/// Whether this is what a bot calls itself.
pub fn is_bot(user_agent: &str) -> bool {
    let mut text = user_agent.to_ascii_lowercase();
    for word in NO_BOTS {
        text = text.replace(word, "");
    }
    WORDS.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bots_are_told_from_people_and_their_programs() {
        for bot in [
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0)",
            "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
            "Mozilla/5.0 (compatible; Baiduspider/2.0)",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/120.0.0.0 Safari/537.36",
            "facebookexternalhit/1.1",
            "ClaudeBot/1.0",
        ] {
            assert!(is_bot(bot), "{bot}");
        }
        for person in [
            "",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
            "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 Mobile Safari/537.36",
            "curl/8.5.0",
            "okhttp/4.12.0",
        ] {
            assert!(!is_bot(person), "{person}");
        }
    }
}
