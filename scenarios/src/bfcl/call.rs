//! A call as BFCL writes it: Python, `mv(source='a', destination='b')`.

use std::collections::BTreeMap;

/// A function and its arguments.
#[derive(Debug, PartialEq)]
pub(super) struct Call {
    pub(super) function: String,
    positional: Vec<Literal>,
    named: BTreeMap<String, Literal>,
}

/// A value. Of lists and tables it is enough to know where they end: no tool of the file system takes one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Text(String),
    Number(i64),
    Truth(bool),
    Nothing,
    Other,
}

/// A function's parameters in their order, without which of them it cannot be called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signature {
    pub(super) function: &'static str,
    pub(super) required: &'static [&'static str],
    pub(super) optional: &'static [&'static str],
}

/// A call whose arguments have their parameters' names.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) function: &'static str,
    arguments: BTreeMap<&'static str, Literal>,
}

impl Call {
    /// Reads a call.
    ///
    /// # Errors
    ///
    /// What is wrong, in words.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { rest: text.trim() };
        let function = reader.word().ok_or("this is no call")?;
        reader.expect('(')?;
        let (mut positional, mut named) = (Vec::new(), BTreeMap::new());
        while !reader.takes(')') {
            match reader.name() {
                Some(name) => {
                    named.insert(name, reader.literal()?);
                }
                None if named.is_empty() => positional.push(reader.literal()?),
                None => return Err("an argument without a name comes after one with".to_owned()),
            }
            if !reader.takes(',') {
                reader.expect(')')?;
                break;
            }
        }
        if reader.rest.trim().is_empty() {
            Ok(Self { function, positional, named })
        } else {
            Err(format!("there is more behind the call: {:?}", reader.rest))
        }
    }

    /// Gives every argument its parameter.
    ///
    /// # Errors
    ///
    /// What does not fit, in words.
    pub(super) fn bind(self, signature: Signature) -> Result<Bound, String> {
        let Signature { function, required, optional } = signature;
        let mut parameters = required.iter().chain(optional);
        let mut arguments = BTreeMap::new();
        for value in self.positional {
            let name =
                parameters.next().ok_or_else(|| format!("too many arguments for {function}"))?;
            arguments.insert(*name, value);
        }
        for (name, value) in self.named {
            let mut all = required.iter().chain(optional);
            let known = all.find(|known| **known == name);
            let known = known.ok_or_else(|| format!("{function} has no parameter {name}"))?;
            if arguments.insert(*known, value).is_some() {
                return Err(format!("{name} is given twice"));
            }
        }
        match required.iter().find(|name| !arguments.contains_key(**name)) {
            None => Ok(Bound { function, arguments }),
            Some(name) => Err(format!("{function} needs {name}")),
        }
    }
}

impl Bound {
    /// A text; empty where it is left out.
    pub(super) fn text(&self, name: &str) -> Result<String, String> {
        Ok(self.text_if_given(name)?.unwrap_or_default())
    }

    pub(super) fn text_if_given(&self, name: &str) -> Result<Option<String>, String> {
        match self.arguments.get(name) {
            None | Some(Literal::Nothing) => Ok(None),
            Some(Literal::Text(text)) if text.contains('\0') => Err(format!("{name} has a NUL")),
            Some(Literal::Text(text)) => Ok(Some(text.clone())),
            Some(_) => Err(format!("{name} is no text")),
        }
    }

    pub(super) fn number(&self, name: &str, default: i64) -> Result<i64, String> {
        match self.arguments.get(name) {
            None => Ok(default),
            Some(Literal::Number(number)) => Ok(*number),
            Some(_) => Err(format!("{name} is no whole number")),
        }
    }

    pub(super) fn truth(&self, name: &str) -> Result<bool, String> {
        match self.arguments.get(name) {
            None => Ok(false),
            Some(Literal::Truth(truth)) => Ok(*truth),
            Some(_) => Err(format!("{name} is neither True nor False")),
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn takes(&mut self, wanted: char) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.takes(wanted) {
            Ok(())
        } else {
            Err(format!("{wanted:?} is missing before {:?}", self.rest))
        }
    }

    fn word(&mut self) -> Option<String> {
        self.skip_space();
        let is_word = |it: char| it.is_ascii_alphanumeric() || it == '_';
        let end = self.rest.find(|it| !is_word(it)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        let is_one = word.starts_with(|it: char| !it.is_ascii_digit());
        is_one.then(|| {
            self.rest = rest;
            word.to_owned()
        })
    }

    /// The name of a named argument, with its sign of equality.
    fn name(&mut self) -> Option<String> {
        let before = self.rest;
        let name = self.word();
        if name.is_some() && self.takes('=') {
            return name;
        }
        self.rest = before;
        None
    }

    fn literal(&mut self) -> Result<Literal, String> {
        self.skip_space();
        match self.rest.chars().next() {
            Some(quote @ ('\'' | '"')) => self.text(quote).map(Literal::Text),
            Some('[') => self.nested('[', ']'),
            Some('{') => self.nested('{', '}'),
            Some('(') => self.nested('(', ')'),
            Some(first) if first.is_ascii_digit() || first == '-' => self.number(),
            _ => match self.word().as_deref() {
                Some("True") => Ok(Literal::Truth(true)),
                Some("False") => Ok(Literal::Truth(false)),
                Some("None") => Ok(Literal::Nothing),
                _ => Err(format!("there is no value at {:?}", self.rest)),
            },
        }
    }

    fn number(&mut self) -> Result<Literal, String> {
        let is_number = |it: char| it.is_ascii_digit() || matches!(it, '-' | '+' | '.' | 'e' | 'E');
        let end = self.rest.find(|it| !is_number(it)).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        self.rest = rest;
        match (number.parse::<i64>(), number.parse::<f64>()) {
            (Ok(whole), _) => Ok(Literal::Number(whole)),
            (_, Ok(_)) => Ok(Literal::Other),
            _ => Err(format!("{number:?} is no number")),
        }
    }

    /// A list, a table, or what stands between brackets, to its end.
    fn nested(&mut self, open: char, close: char) -> Result<Literal, String> {
        self.expect(open)?;
        while !self.takes(close) {
            self.literal()?;
            if !self.takes(',') && !self.takes(':') {
                self.expect(close)?;
                break;
            }
        }
        Ok(Literal::Other)
    }

    fn text(&mut self, quote: char) -> Result<String, String> {
        let mut text = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => match characters.next().ok_or("a text does not end")?.1 {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    '0' => text.push('\0'),
                    same @ ('\\' | '\'' | '"') => text.push(same),
                    // Python leaves what it does not know as it is.
                    other => text.extend(['\\', other]),
                },
                end if end == quote => {
                    self.rest = &self.rest[at + quote.len_utf8()..];
                    return Ok(text);
                }
                other => text.push(other),
            }
        }
        Err("a text does not end".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MV: Signature =
        Signature { function: "mv", required: &["source", "destination"], optional: &["n"] };

    fn bound(text: &str) -> Result<Bound, String> {
        Call::parse(text)?.bind(MV)
    }

    #[test]
    fn arguments_are_found_by_name_and_by_place() {
        for text in
            ["mv('a b', 'c')", "mv(source='a b',destination=\"c\")", "mv('a b', destination='c')"]
        {
            let bound = bound(text).unwrap();
            assert_eq!(bound.text("source").unwrap(), "a b", "{text}");
            assert_eq!(bound.text("destination").unwrap(), "c", "{text}");
            assert_eq!(bound.number("n", 10).unwrap(), 10);
        }
    }

    #[test]
    fn escapes_are_those_of_python() {
        let text = bound(r"mv('it\'s\n\\ \d', 'c')").unwrap().text("source").unwrap();
        assert_eq!(text, "it's\n\\ \\d");
    }

    #[test]
    fn calls_of_other_tools_are_read_to_their_end() {
        let text = "edit(id=1.5, what={'a': [1, 'x)', None], 'b': (True, False)})";
        assert_eq!(Call::parse(text).unwrap().function, "edit");
    }

    #[test]
    fn what_is_no_call_is_refused_with_the_reason() {
        for text in
            ["", "mv", "mv(", "mv('a", "mv(a='b' 'c')", "mv('a') x", "mv(a=b)", "mv(a='b', 'c')"]
        {
            assert!(Call::parse(text).is_err(), "{text}");
        }
        assert_eq!(bound("mv('a')").unwrap_err(), "mv needs destination");
        assert_eq!(bound("mv('a', 'b', x=1)").unwrap_err(), "mv has no parameter x");
        assert_eq!(bound("mv('a', 'b', source='c')").unwrap_err(), "source is given twice");
    }
}
