//! Every effect of a run, as the data that the page's script lists and searches.
//!
//! A column an aspect; texts stand once and are named by their place among all texts, because most
//! effects of a run say the same of who and why.

use std::collections::{HashMap, HashSet};

use journal::{Effect, Verdict, escape::visible};
use serde::Serialize;

use crate::{
    claims::{Claim, Claims},
    scale::Span,
    sentences::{count, cut},
    tables::LONGEST,
    telling,
};

/// How many effects a page lists; violations have as much room again, so that a flood of harmless
/// effects does not push them out.
const MOST: usize = 100_000;

/// The list.
pub(crate) struct List {
    /// For a script element: in it no character begins or ends markup.
    pub(crate) json: String,
    /// How many effects are listed.
    pub(crate) effects: usize,
    /// What is not listed, in a sentence.
    pub(crate) left_out: Option<String>,
    seqs: HashSet<u64>,
}

#[derive(Default, Serialize)]
struct Data {
    strings: Vec<String>,
    seq: Vec<u64>,
    /// Microseconds since the begin of the drawings.
    at: Vec<u64>,
    call: Vec<Option<u64>>,
    verb: Vec<u32>,
    verdict: Vec<u32>,
    act: Vec<u32>,
    label: Vec<u32>,
    fate: Vec<u32>,
    who: Vec<u32>,
    why: Vec<u32>,
    /// The verdicts that make an effect a violation.
    violations: Vec<u32>,
    claims: Vec<Claim>,
}

/// Texts, each once.
#[derive(Default)]
struct Texts {
    places: HashMap<String, u32>,
    strings: Vec<String>,
}

impl Texts {
    fn place(&mut self, text: &str) -> u32 {
        let text = visible(text);
        if let Some(place) = self.places.get(text.as_ref()) {
            return *place;
        }
        let place = u32::try_from(self.strings.len()).expect("a few texts for each listed effect");
        self.strings.push(text.clone().into_owned());
        self.places.insert(text.into_owned(), place);
        place
    }
}

impl List {
    /// Lists effects in order of arrival.
    pub(crate) fn new(
        effects: impl IntoIterator<Item = Effect>,
        span: Span,
        claims: &Claims<'_>,
    ) -> Self {
        let mut texts = Texts::default();
        let mut data = Data::default();
        let (mut harmless, mut violations, mut more) = (0, 0, 0);
        for effect in effects {
            let room = if effect.verdict.is_violation() { &mut violations } else { &mut harmless };
            if *room == MOST {
                more += 1;
                continue;
            }
            *room += 1;
            data.push(&effect, span, &mut texts);
        }
        let verdicts = Verdict::ALL.into_iter().filter(|verdict| verdict.is_violation());
        data.violations = verdicts.map(|verdict| texts.place(verdict.name())).collect();
        data.strings = texts.strings;
        let seqs = data.seq.iter().copied().collect();
        data.claims = claims.listed(&seqs);
        let left_out = (more > 0).then(|| {
            let more = count(more, "more effect is", "more effects are");
            format!("{more} not listed; effects.jsonl has all.")
        });
        let json = serde_json::to_string(&data).expect("numbers and texts have a JSON form");
        Self { json: inert(&json), effects: data.seq.len(), left_out, seqs }
    }

    /// Whether the effect of this number is listed.
    pub(crate) fn has(&self, seq: u64) -> bool {
        self.seqs.contains(&seq)
    }
}

impl Data {
    fn push(&mut self, effect: &Effect, span: Span, texts: &mut Texts) {
        self.seq.push(effect.seq);
        self.at.push(effect.boot_ns.saturating_sub(span.begin) / 1000);
        self.call.push(effect.call);
        self.verb.push(texts.place(effect.verb.name()));
        self.verdict.push(texts.place(effect.verdict.name()));
        self.act.push(texts.place(&cut(&telling::act(effect), LONGEST)));
        self.label.push(texts.place(&cut(&telling::label(effect), LONGEST)));
        self.fate.push(texts.place(&cut(&telling::fate(effect), LONGEST)));
        self.who.push(texts.place(&cut(&telling::actor(effect), LONGEST)));
        self.why.push(texts.place(&cut(&effect.reason, LONGEST)));
    }
}

/// JSON in which no character could end the script element that it stands in, begin a comment or an
/// entity, or end a line of a script. They only occur in strings, where JSON can spell them so.
fn inert(json: &str) -> String {
    let mut inert = String::with_capacity(json.len() + json.len() / 64);
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                inert.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            _ => inert.push(character),
        }
    }
    inert
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_a_script_element_ends_nothing_and_means_the_same() {
        let texts = ["</script>", "<!--<script>", "]]>", "&lt;", "\u{2028}\u{2029}", "\\u003c"];
        let json = serde_json::to_string(&texts).expect("texts have a JSON form");
        let inert = inert(&json);
        assert!(!inert.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{inert}");
        let back: Vec<String> = serde_json::from_str(&inert).expect("it is JSON");
        assert_eq!(back, texts);
    }
}
