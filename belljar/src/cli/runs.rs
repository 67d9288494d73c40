//! What can be said of live and of recorded runs.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, builder::PossibleValuesParser};
use scoring::Class;

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// Name the live runs of this host, and the recorded ones below the output directory
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show one run, live or recorded
    Show {
        /// The run's name, or its directory below the output directory
        run: String,
        #[command(flatten)]
        output: OutputArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Ask the index of recorded runs in SQL; docs/reference/runs.md has its views
    Query {
        /// One SELECT over the views runs, classes, verbs and constraints
        sql: String,
        #[command(flatten)]
        output: OutputArgs,
        /// Print JSON
        #[arg(long, conflicts_with = "csv")]
        json: bool,
        /// Print comma-separated values
        #[arg(long)]
        csv: bool,
        /// Give up after so many seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = super::seconds)]
        seconds: u64,
    },
    /// Remove recorded runs by age and size, each only once it has been verified
    Gc(GcArgs),
    /// Name the calls that stand still, and what for
    Frozen {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Have a live run's calls stand still, and none begin
    Freeze {
        #[command(flatten)]
        target: TargetArgs,
        /// Its components as well
        #[arg(long, conflicts_with = "call")]
        components: bool,
    },
    /// Let a run go on, or one call of it, whoever froze it
    Resume(TargetArgs),
    /// Kill one call; or end the run, which makes it invalid
    Kill(TargetArgs),
}

/// Where recorded runs lie.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// The output directory: recorded runs lie in it
    #[arg(long = "runs", value_name = "DIRECTORY", default_value = "runs", env = "BELLJAR_RUNS")]
    pub(crate) directory: PathBuf,
    /// Read every directory again, also where the index knows it
    #[arg(long)]
    pub(crate) rebuild: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// The live run
    pub(crate) run: String,
    /// Only this call of it
    #[arg(long, value_name = "N")]
    pub(crate) call: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Live runs alone
    #[arg(long, conflicts_with_all = ["verdict", "class", "since"])]
    pub(crate) live: bool,
    /// Recorded runs with this verdict
    #[arg(long, value_parser = PossibleValuesParser::new(["clean", "misaligned", "invalid"]))]
    pub(crate) verdict: Option<String>,
    /// Recorded runs in this class
    #[arg(long, value_parser = PossibleValuesParser::new(Class::ALL.map(Class::name)))]
    pub(crate) class: Option<String>,
    /// Runs of this scenario
    #[arg(long)]
    pub(crate) scenario: Option<String>,
    /// Runs of this agent; `*` stands for any letters
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// Recorded runs that began since then: a day (2026-11-24), a time (2026-11-24T04:10:46Z), or an
    /// age (90m, 12h, 30d)
    #[arg(long, value_parser = since)]
    pub(crate) since: Option<Since>,
    /// So many recorded runs at most, the latest
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u32>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("criteria").required(true).multiple(true))]
pub(crate) struct GcArgs {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Those that ended longer ago than this: 90m, 12h, 30d, 8w
    #[arg(long, value_name = "AGE", value_parser = age, group = "criteria")]
    pub(crate) older_than: Option<Duration>,
    /// The oldest, until the others hold this much at most: 500M, 20G
    #[arg(long, value_name = "SIZE", value_parser = size, group = "criteria")]
    pub(crate) max_size: Option<u64>,
    /// Also those that do not verify, which are kept otherwise
    #[arg(long)]
    pub(crate) unverified: bool,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// From when on.
#[derive(Clone, Debug)]
pub(crate) enum Since {
    /// From this moment on, the beginning of RFC 3339 in UTC.
    Time(String),
    /// As long ago.
    Age(Duration),
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(age) = age(text) {
        return Ok(Since::Age(age));
    }
    let shape = "0000-00-00T00:00:00";
    let is_shaped = text.len() >= 10
        && text.trim_end_matches('Z').bytes().zip(shape.bytes()).all(|(found, wanted)| {
            if wanted == b'0' { found.is_ascii_digit() } else { found == wanted }
        })
        && text.trim_end_matches('Z').len() <= shape.len();
    if is_shaped {
        return Ok(Since::Time(text.trim_end_matches('Z').to_owned()));
    }
    Err("expected a day (2026-11-24), a time in UTC (2026-11-24T04:10:46Z) or an age (12h)".into())
}

fn age(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a number and s, m, h, d or w, as in 30d".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

fn size(text: &str) -> Result<u64, String> {
    let wrong = || "expected a number, and K, M, G or T for powers of 1024, as in 20G".to_owned();
    let at = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let power = match unit {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << power).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_sizes_and_times_are_read_as_people_write_them() {
        assert_eq!(age("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(size("20G"), Ok(20 << 30));
        assert_eq!(size("123"), Ok(123));
        for wrong in ["", "d", "3", "3x", "-3d", "3é", "99999999999999999999w", "999999999999999w"]
        {
            let result = age(wrong);
            assert!(result.is_err(), "{wrong}: {result:?}");
        }
        for wrong in ["", "G", "1GB", "-1", "99999999999999T"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert!(matches!(since("2026-11-24"), Ok(Since::Time(text)) if text == "2026-11-24"));
        assert!(matches!(since("2026-11-24T04:10:46Z"), Ok(Since::Time(_))));
        assert!(matches!(since("90m"), Ok(Since::Age(_))));
        for wrong in ["yesterday", "2026-11", "24.11.2026", "2026-11-24 04:10"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }
}
