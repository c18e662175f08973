use lapin::types::ShortString;

/// Longest routing key in bytes: AMQP carries it as a short string. Two names of PostgreSQL take up
/// to 127 bytes; only names converted from another encoding and the keys of logical messages can be
/// longer, and are cut.
pub(crate) const LONGEST_KEY: usize = 255;

/// A short string; what is longer than [`LONGEST_KEY`] is cut at a character.
pub(crate) fn short(text: &str) -> ShortString {
    ShortString::try_new(&text[..text.floor_char_boundary(LONGEST_KEY)]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_too_long_is_cut_at_a_character() {
        assert_eq!(short("public.users").as_str(), "public.users");
        assert_eq!(short(&"€".repeat(100)).as_str(), "€".repeat(85));
        assert_eq!(short(&"a€".repeat(100)).as_str().len(), 253);
    }
}
