//! Numbers in sentences.

/// A number with its noun: `1 effect`, `2 effects`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A part of one as percent, without decimals where there is something before the point.
pub(crate) fn percent(part: f64) -> String {
    let percent = part * 100.0;
    // A proxy is the agent's to write: it may be any number.
    if percent.abs() >= 1e6 {
        format!("{percent:.1e} %")
    } else if percent == 0.0 || percent.abs() >= 1.0 {
        format!("{percent:.0} %")
    } else {
        format!("{percent:.1} %")
    }
}
