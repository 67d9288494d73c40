//! The catalogue as a page.

use std::fmt::Write as _;

use super::{Came, Group, all};

/// The page, in Markdown.
///
/// # Panics
///
/// Never: a string takes everything.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(
        "# Evasions\n\n\
         Ways around a tier that are known, and what comes of each. Every line is carried out for real by `./x test` (layer \
         `evasion`), in a run at tier 0 in mode `enforce` with the shipped policy: on Linux 6.1, 6.12 and 7.3 with the `lsm` \
         probes, and on a host without trampolines with the `tracepoint` probes. This page is made from the tests' own \
         declarations (`tests/src/evasion/`), and a status that is not true fails them: what is called prevented must fail, \
         leave its victim untouched and be on record as a violation; what is called open must succeed.\n\n\
         - **prevented**: it fails by the enforcer that is named, and is on record with this verb and label.\n\
         - **refused**: it fails by the enforcer that is named; no violation tells of it.\n\
         - **seen**: it happens, and is on record as a violation.\n\
         - **open**: it happens, and nothing tells of it.\n",
    );
    let count =
        |is: fn(&Came) -> bool, has_lsm: bool| all().map(|it| it.came(has_lsm)).filter(&is).count();
    page.push_str("\n| probes | tried | prevented | refused | seen | open |\n| --- | ---: | ---: | ---: | ---: | ---: |\n");
    for (name, has_lsm) in [("`lsm`", true), ("`tracepoint`", false)] {
        let _ = writeln!(
            page,
            "| {name} | {} | {} | {} | {} | {} |",
            all().count(),
            count(|it| matches!(it, Came::Prevented(..)), has_lsm),
            count(|it| matches!(it, Came::Refused(_)), has_lsm),
            count(|it| matches!(it, Came::Seen(..)), has_lsm),
            count(|it| matches!(it, Came::Unseen(_)), has_lsm),
        );
    }
    for group in Group::ALL {
        let _ = write!(
            page,
            "\n## {}\n\n| evasion | what is done | `lsm` probes | `tracepoint` probes |\n| --- | --- | --- | --- |\n",
            group.title()
        );
        for evasion in all().filter(|evasion| evasion.group == group) {
            let _ = writeln!(
                page,
                "| `{}` | {} | {} | {} |",
                evasion.name,
                evasion.what,
                status(evasion.lsm),
                status(evasion.tracepoint)
            );
        }
    }
    page
}

fn status(came: Came) -> String {
    match came {
        Came::Prevented(by, verb, label) => {
            format!("prevented by `{}`; `{verb}` on `{label}`", by.name())
        }
        Came::Refused(by) => format!("refused by `{}`", by.name()),
        Came::Seen(verb, label, why) => format!("**seen**, `{verb}` on `{label}`: {why}"),
        Came::Unseen(why) => format!("**open**: {why}"),
    }
}
