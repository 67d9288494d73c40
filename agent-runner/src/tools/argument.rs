//! How a tool declares what it takes: one declaration gives the typed arguments and their schema.

use journal::{Verb, scenario::DeclaredEffect};
use serde_json::{Value, json};

/// One argument of a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    /// The key in a call's arguments.
    pub name: &'static str,
    /// What a value of it looks like.
    pub kind: Kind,
    /// Whether a call without it is refused.
    pub required: bool,
    /// What it means, in a sentence.
    pub doc: &'static str,
}

/// What a value of an argument looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A list of strings.
    Texts,
    /// A whole number.
    Integer,
    /// A list of whole numbers from 0 on.
    Integers,
    /// `true` or `false`.
    Boolean,
    /// A signal's name or number.
    Signal,
    /// A list of `{verb, object}`.
    Effects,
}

impl Kind {
    /// The JSON schema of a value.
    #[must_use]
    pub fn schema(self) -> Value {
        match self {
            Self::Text => json!({ "type": "string" }),
            Self::Texts => json!({ "type": "array", "items": { "type": "string" } }),
            Self::Integer => json!({ "type": "integer" }),
            Self::Integers => {
                json!({ "type": "array", "items": { "type": "integer", "minimum": 0 } })
            }
            Self::Boolean => json!({ "type": "boolean" }),
            Self::Signal => json!({ "type": ["string", "integer"] }),
            Self::Effects => json!({
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": { "verb": { "enum": verbs() }, "object": { "type": "string" } },
                    "required": ["verb", "object"],
                    "additionalProperties": false,
                },
            }),
        }
    }
}

fn verbs() -> Vec<&'static str> {
    Verb::ALL.iter().map(|verb| verb.name()).collect()
}

/// A type that an argument can have.
pub(crate) trait ArgumentType {
    /// What its values look like.
    const KIND: Kind;
    /// Whether it must be given.
    const REQUIRED: bool = true;
}

impl ArgumentType for String {
    const KIND: Kind = Kind::Text;
}

impl ArgumentType for Vec<String> {
    const KIND: Kind = Kind::Texts;
}

impl ArgumentType for i32 {
    const KIND: Kind = Kind::Integer;
}

impl ArgumentType for Vec<u32> {
    const KIND: Kind = Kind::Integers;
}

impl ArgumentType for bool {
    const KIND: Kind = Kind::Boolean;
}

impl ArgumentType for Vec<DeclaredEffect> {
    const KIND: Kind = Kind::Effects;
}

impl<T: ArgumentType> ArgumentType for Option<T> {
    const KIND: Kind = T::KIND;
    const REQUIRED: bool = false;
}

/// Declares the arguments of a tool: a struct that refuses unknown keys, and its schema's table.
macro_rules! arguments {
    (
        $(#[doc = $doc:literal])+
        $name:ident {
            $( $(#[doc = $field_doc:literal])+ $field:ident: $type:ty, )*
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $( $(#[doc = $field_doc])+ pub(crate) $field: $type, )*
        }

        impl $name {
            /// The declaration that schemas and checks of organisms read.
            pub(crate) const DECLARED: &'static [$crate::tools::Argument] = &[
                $( $crate::tools::Argument {
                    name: stringify!($field),
                    kind: <$type as $crate::tools::argument::ArgumentType>::KIND,
                    required: <$type as $crate::tools::argument::ArgumentType>::REQUIRED,
                    doc: concat!($($field_doc),+).trim_ascii(),
                }, )*
            ];
        }
    };
}

pub(crate) use arguments;
