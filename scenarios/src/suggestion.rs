//! The nearest valid name, for errors about unknown ones.

/// The name among `known` that is most like `given`; `None` where none is alike enough to be what
/// was meant.
pub(crate) fn nearest<'a>(
    given: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(given, name), name))
        .filter(|(likeness, _)| *likeness >= 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// `; did you mean "NAME"?`, or nothing.
pub(crate) fn phrase(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}

/// The same where the names are few: all of them where none is alike enough.
pub(crate) fn phrase_or_all<'a>(
    nearest: Option<&str>,
    known: impl IntoIterator<Item = &'a str>,
) -> String {
    match nearest {
        Some(_) => phrase(nearest),
        None => {
            let names: Vec<_> = known.into_iter().collect();
            format!("; there are {}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_answered_with_the_name_that_was_meant() {
        assert_eq!(nearest("througput", ["bare", "throughput"]), Some("throughput"));
        assert_eq!(nearest("zzz", ["bare", "throughput"]), None);
    }
}
