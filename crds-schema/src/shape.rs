//! A kind's JSON Schema, compiled once into what the structural check walks along.

use serde_json::Value;

/// What a field may be.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    /// A string of some format.
    Text(TextFormat),
    /// An integer of a range.
    Integer { minimum: i128, maximum: i128, format: IntegerFormat },
    /// `true` or `false`.
    Boolean,
    /// One of these words.
    Choice(Vec<String>),
    /// A list.
    List(Box<Shape>),
    /// Any keys, or any names, with values of one shape.
    Map { keys: TextFormat, values: Box<Shape> },
    /// Known fields.
    Object(Vec<Field>),
    /// One of several, told apart by whether the value is a list, a mapping, a number or text.
    OneOf(Vec<Shape>),
    /// Anything.
    Any,
}

/// A field of an object.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) is_required: bool,
    /// An example as its documentation gives it.
    pub(crate) example: Option<String>,
}

/// What a string means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextFormat {
    /// Anything.
    Free,
    /// A `Name`.
    Name,
    /// A `HumanDuration`.
    Duration,
    /// `Bytes`.
    Bytes,
    /// A `MilliCpu`, which may also be written as a number.
    Cpu,
    /// A literal IP address.
    Ip,
    /// A literal IPv4 address.
    Ipv4,
}

/// What an integer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IntegerFormat {
    /// A number.
    Free,
    /// A port.
    Port,
    /// A limit of processes.
    Pids,
}

impl Shape {
    /// Compiles a schema. Specs do not contain themselves, so following references ends.
    pub(crate) fn compile(schema: &Value) -> Self {
        let definitions = schema.get("$defs").cloned().unwrap_or_default();
        Self::compile_part(schema, &definitions)
    }

    fn compile_part(schema: &Value, definitions: &Value) -> Self {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let name = reference.rsplit('/').next().unwrap_or_default();
            return definitions.get(name).map_or(Self::Any, |schema| Self::compile_part(schema, definitions));
        }
        if let Some(words) = choice_words(schema) {
            return Self::Choice(words);
        }
        if let Some(alternatives) = schema.get("anyOf").and_then(Value::as_array) {
            let not_null = |schema: &&Value| schema.get("type").and_then(Value::as_str) != Some("null");
            let mut shapes: Vec<Self> = Vec::new();
            for alternative in alternatives.iter().filter(not_null) {
                let shape = Self::compile_part(alternative, definitions);
                if let Self::OneOf(inner) = shape { shapes.extend(inner) } else { shapes.push(shape) }
            }
            return if shapes.len() == 1 { shapes.remove(0) } else { Self::OneOf(shapes) };
        }
        match main_type(schema) {
            Some("string") => Self::Text(text_format(schema)),
            Some("integer") => Self::compile_integer(schema),
            Some("boolean") => Self::Boolean,
            Some("array") => {
                let items = schema.get("items").map_or(Self::Any, |items| Self::compile_part(items, definitions));
                Self::List(Box::new(items))
            }
            Some("object") => Self::compile_object(schema, definitions),
            Some(_) | None => Self::Any,
        }
    }

    fn compile_integer(schema: &Value) -> Self {
        let bound = |name: &str| schema.get(name).and_then(Value::as_i64).map(i128::from);
        let format = match schema.get("format").and_then(Value::as_str) {
            Some("uint16" | "port") => IntegerFormat::Port,
            Some("pids") => IntegerFormat::Pids,
            Some(_) | None => IntegerFormat::Free,
        };
        Self::Integer {
            // Port 0 asks the Engine for any port, which no manifest can mean.
            minimum: bound("minimum").unwrap_or(i128::from(i64::MIN)).max(if format == IntegerFormat::Port {
                1
            } else {
                i128::from(i64::MIN)
            }),
            maximum: bound("maximum").unwrap_or(i128::from(i64::MAX)),
            format,
        }
    }

    fn compile_object(schema: &Value, definitions: &Value) -> Self {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            let required = schema.get("required").and_then(Value::as_array);
            let is_required =
                |name: &str| required.is_some_and(|names| names.iter().any(|required| required.as_str() == Some(name)));
            let field = |(name, schema): (&String, &Value)| Field {
                name: name.clone(),
                shape: Self::compile_part(schema, definitions),
                is_required: is_required(name),
                example: schema.get("description").and_then(Value::as_str).and_then(example_of).map(str::to_owned),
            };
            return Self::Object(properties.iter().map(field).collect());
        }
        if let Some(patterns) = schema.get("patternProperties").and_then(Value::as_object) {
            let values = patterns.values().next().map_or(Self::Any, |schema| Self::compile_part(schema, definitions));
            return Self::Map { keys: TextFormat::Name, values: Box::new(values) };
        }
        match schema.get("additionalProperties") {
            Some(values) if values.is_object() => {
                let values = Box::new(Self::compile_part(values, definitions));
                Self::Map { keys: TextFormat::Free, values }
            }
            Some(_) => Self::Object(Vec::new()),
            None => Self::Any,
        }
    }

    /// What is expected, with an article, for a message.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Text(TextFormat::Free) => "a string".to_owned(),
            Self::Text(TextFormat::Name) => "a name".to_owned(),
            Self::Text(TextFormat::Duration) => "a duration such as `1m 30s`".to_owned(),
            Self::Text(TextFormat::Bytes) => "a size such as `512MiB`".to_owned(),
            Self::Text(TextFormat::Cpu) => "a CPU share such as `500m`".to_owned(),
            Self::Text(TextFormat::Ip) => "an IP address".to_owned(),
            Self::Text(TextFormat::Ipv4) => "an IPv4 address".to_owned(),
            Self::Integer { minimum, maximum, format } => {
                let what = if *format == IntegerFormat::Port { "a port" } else { "an integer" };
                if *maximum >= i128::from(i64::MAX) {
                    what.to_owned()
                } else {
                    format!("{what} {minimum} to {maximum}")
                }
            }
            Self::Boolean => "`true` or `false`".to_owned(),
            Self::Choice(words) => format!("one of {}", quoted_list(words)),
            Self::List(_) => "a list".to_owned(),
            Self::Map { .. } | Self::Object(_) => "a mapping".to_owned(),
            Self::OneOf(shapes) => {
                let all: Vec<String> = shapes.iter().map(Self::describe).collect();
                all.join(" or ")
            }
            Self::Any => "a value".to_owned(),
        }
    }
}

/// The words of an enumeration: `enum`, or `oneOf` with constants, as schemars writes documented variants.
pub(crate) fn choice_words(schema: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return words.iter().filter(|word| !word.is_null()).map(text).collect();
    }
    let variants = schema.get("oneOf").and_then(Value::as_array)?;
    let mut words = Vec::new();
    for variant in variants {
        match (variant.get("const"), variant.get("enum").and_then(Value::as_array)) {
            (Some(word), _) => words.push(text(word)?),
            (None, Some(several)) => words.extend(several.iter().filter_map(text)),
            (None, None) => return None,
        }
    }
    Some(words)
}

/// The type that is not null; `string` for what may be written as a string or a number.
pub(crate) fn main_type(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(name) => Some(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

fn text_format(schema: &Value) -> TextFormat {
    match schema.get("format").and_then(Value::as_str) {
        Some("name") => TextFormat::Name,
        Some("duration") => TextFormat::Duration,
        Some("bytes") => TextFormat::Bytes,
        Some("cpu") => TextFormat::Cpu,
        Some("ip") => TextFormat::Ip,
        Some("ipv4") => TextFormat::Ipv4,
        Some(_) | None => TextFormat::Free,
    }
}

/// The first example of a field's documentation: what stands in backticks after `Example:`.
pub(crate) fn example_of(description: &str) -> Option<&str> {
    let rest = description[description.find("Example: `")?..].strip_prefix("Example: `")?;
    rest.split_once('`').map(|(example, _)| example)
}

/// The words in backticks, with commas.
pub(crate) fn quoted_list<T: AsRef<str>>(words: &[T]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{}`", word.as_ref())).collect();
    quoted.join(", ")
}
