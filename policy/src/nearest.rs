//! "Did you mean": the valid name nearest to a misspelt one.

/// The candidate that differs least from `name`, unless all differ so much that it would be a guess.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // A third of the letters may be wrong, and one always.
    let tolerated = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|&(distance, _)| distance <= tolerated)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// What to tell somebody who wrote `name` where one of `candidates` belongs.
#[must_use]
pub fn help<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    nearest(name, candidates.clone()).map_or_else(
        || {
            let all: Vec<_> = candidates.into_iter().map(|name| format!("`{name}`")).collect();
            format!("one of {}", all.join(", "))
        },
        |candidate| format!("did you mean `{candidate}`?"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposition_is_forgiven_and_a_different_word_is_not() {
        let verbs = ["unlink", "rename", "kill"];
        assert_eq!(nearest("ulnink", verbs), Some("unlink"));
        assert_eq!(nearest("kil", verbs), Some("kill"));
        assert_eq!(nearest("delete", verbs), None);
        assert_eq!(nearest("", verbs), None);
    }

    #[test]
    fn without_a_near_name_all_are_listed() {
        assert_eq!(help("zzz", ["a", "b"]), "one of `a`, `b`");
    }
}
