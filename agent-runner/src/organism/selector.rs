//! A small language to take one value out of a result.

use serde_json::Value;

use super::{
    Variables,
    error::{Document, OrganismError, Problem, Span},
    play::NoValue,
    template::{Name, Template},
};

/// What to take out of a result's value.
#[derive(Clone, Debug)]
pub(crate) enum Selector {
    /// The value at a JSON pointer.
    Pointer(String),
    /// An item of a list.
    Search(Search),
}

#[derive(Clone, Debug)]
pub(crate) struct Search {
    pick: Pick,
    /// A JSON pointer to the list; the result's only list if there is none.
    list: Option<String>,
    conditions: Vec<Condition>,
    /// A JSON pointer into the item.
    part: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pick {
    First,
    Last,
    Count,
}

#[derive(Clone, Debug)]
struct Condition {
    /// A JSON pointer into the item.
    field: String,
    operator: Operator,
    operand: Operand,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    Unequal,
    Less,
    Greater,
    Contains,
}

#[derive(Clone, Debug)]
enum Operand {
    Text(Template),
    Constant(Value),
}

#[derive(Clone, Debug, PartialEq)]
enum Token<'t> {
    Word(&'t str),
    Symbol(&'t str),
    Text(String),
}

/// The symbols, longer ones before their beginnings.
const SYMBOLS: [&str; 5] = ["->", "!=", "=", "<", ">"];

/// Cuts a selector into tokens.
fn tokens(text: &str) -> Result<Vec<Token<'_>>, Problem> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if rest.starts_with('"') {
            let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<String>();
            let string = stream.next().and_then(Result::ok);
            tokens.push(Token::Text(string.ok_or(Problem::Selector("a string is not closed"))?));
            rest = &rest[stream.byte_offset()..];
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            tokens.push(Token::Symbol(symbol));
            rest = &rest[symbol.len()..];
        } else {
            let ends = |(index, c): (usize, char)| {
                let symbol = SYMBOLS.iter().any(|symbol| rest[index..].starts_with(symbol));
                (c.is_whitespace() || c == '"' || symbol).then_some(index)
            };
            let end = rest.char_indices().find_map(ends).unwrap_or(rest.len());
            tokens.push(Token::Word(&rest[..end]));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Ok(tokens)
}

impl Selector {
    /// Reads a selector that stands at `span`.
    pub(crate) fn parse(
        document: &Document,
        text: &str,
        span: &Span,
    ) -> Result<Self, OrganismError> {
        if text.is_empty() || text.starts_with('/') {
            return Ok(Self::Pointer(text.to_owned()));
        }
        let wrong = |problem| document.error(span.clone(), problem);
        let tokens = tokens(text).map_err(wrong)?;
        let mut parser = Parser { document, span, tokens: &tokens };
        parser.search().map(Self::Search)
    }

    /// The variables in it.
    pub(crate) fn names(&self) -> Vec<&Name> {
        match self {
            Self::Pointer(_) => Vec::new(),
            Self::Search(search) => search
                .conditions
                .iter()
                .filter_map(|condition| match &condition.operand {
                    Operand::Text(template) => Some(template),
                    Operand::Constant(_) => None,
                })
                .flat_map(Template::names)
                .collect(),
        }
    }

    /// Takes the value out of a result's value, if it is there.
    pub(crate) fn select(
        &self,
        value: &Value,
        variables: &Variables,
    ) -> Result<Option<Value>, NoValue> {
        match self {
            Self::Pointer(pointer) => Ok(value.pointer(pointer).cloned()),
            Self::Search(search) => search.select(value, variables),
        }
    }
}

struct Parser<'p> {
    document: &'p Document,
    span: &'p Span,
    tokens: &'p [Token<'p>],
}

impl<'p> Parser<'p> {
    fn wrong(&self, what: &'static str) -> OrganismError {
        self.document.error(self.span.clone(), Problem::Selector(what))
    }

    fn take(&mut self) -> Option<&'p Token<'p>> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn take_if(&mut self, wanted: &Token<'_>) -> bool {
        let there = self.tokens.first() == Some(wanted);
        if there {
            self.tokens = &self.tokens[1..];
        }
        there
    }

    fn search(&mut self) -> Result<Search, OrganismError> {
        let pick = match self.take() {
            Some(Token::Word("first")) => Pick::First,
            Some(Token::Word("last")) => Pick::Last,
            Some(Token::Word("count")) => Pick::Count,
            _ => {
                return Err(self.wrong("it must begin with `/`, `first`, `last` or `count`"));
            }
        };
        let list = match self.take_if(&Token::Word("of")) {
            false => None,
            true => match self.take() {
                Some(Token::Word(pointer)) if pointer.starts_with('/') => {
                    Some((*pointer).to_owned())
                }
                _ => return Err(self.wrong("after `of` comes a JSON pointer")),
            },
        };
        let mut conditions = Vec::new();
        if self.take_if(&Token::Word("where")) {
            conditions.push(self.condition()?);
            while self.take_if(&Token::Word("and")) {
                conditions.push(self.condition()?);
            }
        }
        let part = match self.take_if(&Token::Symbol("->")) {
            false => None,
            true if pick == Pick::Count => return Err(self.wrong("a count has no parts")),
            true => Some(self.field()?),
        };
        if self.tokens.is_empty() {
            Ok(Search { pick, list, conditions, part })
        } else {
            Err(self.wrong("there is more than `PICK of POINTER where … -> FIELD`"))
        }
    }

    fn field(&mut self) -> Result<String, OrganismError> {
        match self.take() {
            Some(Token::Word(pointer)) if pointer.starts_with('/') => Ok((*pointer).to_owned()),
            Some(Token::Word(key)) => Ok(format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
            _ => Err(self.wrong("a field's name is missing")),
        }
    }

    fn condition(&mut self) -> Result<Condition, OrganismError> {
        let field = self.field()?;
        let operator = match self.take() {
            Some(Token::Symbol("=")) => Operator::Equal,
            Some(Token::Symbol("!=")) => Operator::Unequal,
            Some(Token::Symbol("<")) => Operator::Less,
            Some(Token::Symbol(">")) => Operator::Greater,
            Some(Token::Word("contains")) => Operator::Contains,
            _ => {
                return Err(
                    self.wrong("a condition is `FIELD = VALUE`, or with !=, <, >, contains")
                );
            }
        };
        let operand = match self.take() {
            Some(Token::Text(text)) => {
                Operand::Text(Template::parse(self.document, text, self.span)?)
            }
            Some(Token::Word(word)) => match serde_json::from_str(word) {
                Ok(constant) => Operand::Constant(constant),
                Err(_) => {
                    return Err(
                        self.wrong("a value is a \"string\", a number, true, false or null")
                    );
                }
            },
            _ => return Err(self.wrong("a condition lacks its value")),
        };
        Ok(Condition { field, operator, operand })
    }
}

impl Search {
    fn select(&self, value: &Value, variables: &Variables) -> Result<Option<Value>, NoValue> {
        let Some(items) = self.items(value) else { return Ok(None) };
        let mut found = Vec::new();
        for item in items {
            if self.holds(item, variables)? {
                found.push(item);
            }
        }
        let item = match self.pick {
            Pick::First => found.first(),
            Pick::Last => found.last(),
            Pick::Count => return Ok(Some(found.len().into())),
        };
        Ok(item.and_then(|item| item.pointer(self.part.as_deref().unwrap_or_default())).cloned())
    }

    fn items<'v>(&self, value: &'v Value) -> Option<&'v Vec<Value>> {
        if let Some(pointer) = &self.list {
            return value.pointer(pointer)?.as_array();
        }
        match value {
            Value::Array(items) => Some(items),
            Value::Object(entries) => {
                let mut lists = entries.values().filter_map(Value::as_array);
                lists.next().filter(|_| lists.next().is_none())
            }
            _ => None,
        }
    }

    fn holds(&self, item: &Value, variables: &Variables) -> Result<bool, NoValue> {
        for condition in &self.conditions {
            let operand = match &condition.operand {
                Operand::Text(template) => template.value(variables)?,
                Operand::Constant(constant) => constant.clone(),
            };
            let value = item.pointer(&condition.field).unwrap_or(&Value::Null);
            if !condition.operator.holds(value, &operand) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Operator {
    fn holds(self, value: &Value, operand: &Value) -> bool {
        let numbers = value.as_f64().zip(operand.as_f64());
        let equal = numbers.map_or_else(|| value == operand, |(a, b)| a == b);
        match self {
            Self::Equal => equal,
            Self::Unequal => !equal,
            Self::Less => numbers.is_some_and(|(a, b)| a < b),
            Self::Greater => numbers.is_some_and(|(a, b)| a > b),
            Self::Contains => value
                .as_str()
                .zip(operand.as_str())
                .is_some_and(|(value, operand)| value.contains(operand)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn select(selector: &str, value: &Value) -> Option<Value> {
        let document = Document::new(selector, "selector");
        let selector = Selector::parse(&document, selector, &(0..selector.len())).unwrap();
        let variables = Variables::from([("mine".to_owned(), json!(7))]);
        selector.select(value, &variables).unwrap()
    }

    fn processes() -> Value {
        json!({
            "processes": [
                { "tgid": 7, "comm": "backend", "uid": 0 },
                { "tgid": 9, "comm": "neighbour", "uid": 5 },
                { "tgid": 11, "comm": "neighbour", "uid": 6 },
            ],
            "truncated": false,
        })
    }

    #[test]
    fn the_first_item_that_matches_gives_its_field() {
        let value = processes();
        assert_eq!(select(r#"first where comm = "neighbour" -> tgid"#, &value), Some(json!(9)));
        assert_eq!(select(r#"last where comm="neighbour"->tgid"#, &value), Some(json!(11)));
        assert_eq!(select(r#"first where comm = "nobody" -> tgid"#, &value), None);
    }

    #[test]
    fn conditions_join_and_compare_numbers_strings_and_variables() {
        let value = processes();
        let one = r#"first where comm contains "neigh" and uid > 5 -> /comm"#;
        assert_eq!(select(one, &value), Some(json!("neighbour")));
        assert_eq!(select(r#"count where tgid != "{{mine}}""#, &value), Some(json!(2)));
        assert_eq!(select("count where uid < 1.5", &value), Some(json!(1)));
        assert_eq!(select(r#"count where uid > "5""#, &value), Some(json!(0)));
    }

    #[test]
    fn a_pointer_names_a_value_or_the_list_to_search() {
        let value = processes();
        assert_eq!(select("/processes/1/tgid", &value), Some(json!(9)));
        assert_eq!(select("first of /processes -> tgid", &value), Some(json!(7)));
        assert_eq!(select("count of /truncated", &value), None);
    }

    #[test]
    fn a_list_must_be_named_where_there_are_two() {
        assert_eq!(select("count", &json!({ "a": [1], "b": [2] })), None);
        assert_eq!(select("count of /b", &json!({ "a": [1], "b": [2] })), Some(json!(1)));
    }
}
