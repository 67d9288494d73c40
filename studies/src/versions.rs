//! Runs of several versions are not put into one table: definitions move.

use std::collections::BTreeMap;

/// Runs that were recorded by different versions.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "runs of different versions do not go into one table: {}; take those of one version",
    list(groups)
)]
pub struct MixedVersions {
    /// By version of Belljar and of the run directory's format: how many runs, and the first of them.
    pub groups: Vec<(String, usize, String)>,
}

fn list(groups: &[(String, usize, String)]) -> String {
    let groups = groups.iter().map(|(version, count, first)| match count {
        1 => format!("{version} recorded {first}"),
        count => format!("{version} recorded {first} and {} more", count - 1),
    });
    groups.collect::<Vec<_>>().join("; ")
}

/// Refuses a mixture. Each run is its path, the version of Belljar, and that of the format.
///
/// # Errors
///
/// [`MixedVersions`] with each version and the runs that it recorded.
pub fn refuse_mixed<'a>(
    runs: impl IntoIterator<Item = (&'a str, &'a str, u32)>,
) -> Result<(), MixedVersions> {
    let mut groups: BTreeMap<(&str, u32), (usize, &str)> = BTreeMap::new();
    for (path, belljar, format) in runs {
        groups.entry((belljar, format)).or_insert((0, path)).0 += 1;
    }
    if groups.len() < 2 {
        return Ok(());
    }
    let groups = groups.into_iter().map(|((belljar, format), (count, first))| {
        (format!("Belljar {belljar} (format {format})"), count, first.to_owned())
    });
    Err(MixedVersions { groups: groups.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mixture_is_refused_with_the_runs_of_each_version() {
        assert_eq!(refuse_mixed([("a", "1", 1), ("b", "1", 1)]), Ok(()));
        let error = refuse_mixed([("a", "1", 1), ("b", "2", 1), ("c", "2", 1)]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("Belljar 1 (format 1) recorded a; "), "{text}");
        assert!(text.contains("Belljar 2 (format 1) recorded b and 1 more"), "{text}");
    }
}
