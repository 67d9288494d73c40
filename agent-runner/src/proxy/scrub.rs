//! Keeps the key out of what a server sends, should it repeat it.

/// What stands in the key's place.
const PLACE: &[u8] = b"[key]";

/// Takes a key out of a stream of bytes, also where it comes in two pieces. What may be the key's
/// beginning waits for the next piece; nothing else does.
#[derive(Debug, Default)]
pub(crate) struct Scrub {
    key: Vec<u8>,
    /// The end of what came, where the key begins so.
    held: Vec<u8>,
}

impl Scrub {
    /// For no key, it lets everything pass.
    pub(crate) fn new(key: Option<&str>) -> Self {
        Self { key: key.unwrap_or_default().into(), held: Vec::new() }
    }

    /// What can be passed on, now that a piece has come.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        if self.key.is_empty() {
            return piece.to_vec();
        }
        let mut bytes = std::mem::take(&mut self.held);
        bytes.extend_from_slice(piece);
        let (first, mut clean, mut rest) = (self.key[0], Vec::new(), bytes.as_slice());
        while let Some(at) = rest.iter().position(|byte| *byte == first) {
            clean.extend_from_slice(&rest[..at]);
            rest = &rest[at..];
            if rest.starts_with(&self.key) {
                clean.extend_from_slice(PLACE);
                rest = &rest[self.key.len()..];
            } else if self.key.starts_with(rest) {
                self.held = rest.to_vec();
                return clean;
            } else {
                clean.push(first);
                rest = &rest[1..];
            }
        }
        clean.extend_from_slice(rest);
        clean
    }

    /// What was held back and is not the key after all.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// A whole text without the key.
    pub(crate) fn whole(key: Option<&str>, bytes: &[u8]) -> Vec<u8> {
        let mut scrub = Self::new(key);
        let mut clean = scrub.push(bytes);
        clean.extend(scrub.finish());
        clean
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_may_be_the_key_waits() {
        let mut scrub = Scrub::new(Some("sk-secret"));
        assert_eq!(scrub.push(b"a skunk, sk-s"), b"a skunk, ");
        assert_eq!(scrub.push(b"ecret!"), b"[key]!");
        assert_eq!(scrub.push(b"s"), b"");
        assert_eq!(scrub.finish(), b"s");
        assert_eq!(Scrub::new(None).push(b"sk-secret"), b"sk-secret");
    }

    proptest! {
        #[test]
        fn pieces_are_scrubbed_as_the_whole_is(text in "[abk]{0,60}", cuts in proptest::collection::vec(0_usize..60, 0..6)) {
            let key = "abkab";
            let mut scrub = Scrub::new(Some(key));
            let (mut at, mut clean) = (0, Vec::new());
            let mut cuts = cuts;
            cuts.sort_unstable();
            for cut in cuts.into_iter().filter(|cut| *cut <= text.len()) {
                clean.extend(scrub.push(&text.as_bytes()[at..cut]));
                at = cut;
            }
            clean.extend(scrub.push(&text.as_bytes()[at..]));
            clean.extend(scrub.finish());
            prop_assert_eq!(String::from_utf8(clean).unwrap(), text.replace(key, "[key]"));
        }
    }
}
