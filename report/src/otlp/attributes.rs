//! Attributes: a name and a value of one of the types that OTLP knows.

use journal::escape::visible;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value};

pub(super) fn text(key: &str, value: &str) -> KeyValue {
    pair(key, string(value))
}

pub(super) fn texts<'a>(key: &str, values: impl Iterator<Item = &'a str>) -> KeyValue {
    let values = values.map(|value| AnyValue { value: Some(string(value)) }).collect();
    pair(key, Value::ArrayValue(ArrayValue { values }))
}

/// A count, or a number by which something is known. The type has a sign; no count needs its bit.
pub(super) fn number(key: &str, value: u64) -> KeyValue {
    pair(key, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)))
}

pub(super) fn fraction(key: &str, value: f64) -> KeyValue {
    pair(key, Value::DoubleValue(value))
}

pub(super) fn truth(key: &str, value: bool) -> KeyValue {
    pair(key, Value::BoolValue(value))
}

pub(super) fn body(value: &str) -> AnyValue {
    AnyValue { value: Some(string(value)) }
}

fn string(value: &str) -> Value {
    Value::StringValue(visible(value).into_owned())
}

fn pair(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}
