//! The values in a decoded message, and the kinds of values that a type of messages allows.

use prost_reflect::{
    self as reflect, DynamicMessage, FieldDescriptor, MessageDescriptor, ReflectMessage as _,
};

use crate::fields::{BestValues, Fields};
use crate::shape::Shape;
use crate::time::{self, DateRules};
use crate::value::{DEEPEST, MOST_ELEMENTS, Value, ValueKind, WRAPPERS};

/// Checks that messages of this type can hold a document.
///
/// # Errors
/// As [`Shape::check`], with the name of the type.
pub(super) fn check(message: &MessageDescriptor, fields: &Fields) -> Result<(), String> {
    let mut shape = Shape::default();
    describe(message, fields, &mut shape);
    shape.check().map_err(|why| format!("message `{}`: {why}", message.full_name()))
}

fn describe<'m>(message: &MessageDescriptor, fields: &'m Fields, shape: &mut Shape<'m>) {
    for field in message.fields() {
        let Some(wanted) = fields.get(field.name()) else { continue };
        let (kind, type_name) = kind(&field);
        shape.offer(wanted, &[kind], &type_name);
        if let reflect::Kind::Message(inner) = field.kind()
            && !field.is_list()
        {
            describe(&inner, &wanted.inside, shape);
        }
    }
}

fn kind(field: &FieldDescriptor) -> (ValueKind, String) {
    use reflect::Kind as K;
    if field.is_map() {
        return (ValueKind::Nested, "map".into());
    }
    let kind = match field.kind() {
        _ if field.is_list() => ValueKind::Nested,
        K::String | K::Enum(_) => ValueKind::Text,
        K::Bool | K::Bytes => ValueKind::Other,
        K::Message(inner) if inner.full_name() == "google.protobuf.Timestamp" => ValueKind::Time,
        K::Message(_) => ValueKind::Nested,
        _ => ValueKind::Number,
    };
    let name = match field.kind() {
        K::Message(inner) => inner.full_name().to_string(),
        K::Enum(inner) => inner.full_name().to_string(),
        other => format!("{other:?}").to_ascii_lowercase(),
    };
    (kind, if field.is_list() { format!("repeated {name}") } else { name })
}

/// Offers the wanted fields of `message`.
pub(super) fn take_fields<'m>(
    message: &mut DynamicMessage,
    fields: &'m Fields,
    found: &mut BestValues<'m, '_>,
) {
    for field in message.descriptor().fields() {
        let Some(wanted) = fields.get(field.name()) else { continue };
        if let Some(value) = take(message, &field)
            && let Some(value) = value_of(value, &field, Some(&wanted.inside), found, 0)
        {
            found.offer(wanted, value);
        }
    }
}

/// The value of `field`, if it has one. The encoding leaves out default values; in a wrapper such as
/// `google.protobuf.Int64Value`, whose presence says that there is a value, that is one.
fn take(message: &mut DynamicMessage, field: &FieldDescriptor) -> Option<reflect::Value> {
    if is_wrapper(&message.descriptor()) {
        return Some(message.get_field(field).into_owned());
    }
    message.has_field(field).then(|| message.take_field(field)).flatten()
}

/// Whether it is one of the types of `google/protobuf/wrappers.proto`.
fn is_wrapper(message: &MessageDescriptor) -> bool {
    message.parent_file().name() == "google/protobuf/wrappers.proto"
}

/// `value` of `field`; `None` if it is a message without a value. The fields that are wanted `inside` it are offered.
fn value_of<'m, 'a>(
    value: reflect::Value,
    field: &FieldDescriptor,
    inside: Option<&'m Fields>,
    found: &mut BestValues<'m, 'a>,
    depth: usize,
) -> Option<Value<'a>> {
    use reflect::Value as V;
    Some(match value {
        V::String(text) => Value::Text(text.into()),
        V::EnumNumber(number) => enum_name(field, number),
        V::I32(number) => Value::Integer(number.into()),
        V::I64(number) => Value::Integer(number),
        V::U32(number) => Value::Integer(number.into()),
        V::U64(number) => {
            i64::try_from(number).map_or(Value::Digits(number.to_string().into()), Value::Integer)
        }
        V::F32(number) => Value::Number(number.into()),
        V::F64(number) => Value::Number(number),
        V::Bool(flag) => Value::Boolean(flag),
        V::Bytes(_) => Value::Other("bytes"),
        V::Map(_) => Value::Other("a map"),
        V::List(_) | V::Message(_) if depth == DEEPEST => Value::Other("a value that is nested too deeply"),
        V::List(values) => {
            let values = values.into_iter().take(MOST_ELEMENTS);
            Value::List(values.filter_map(|value| value_of(value, field, None, found, depth + 1)).collect())
        }
        V::Message(mut inner) => {
            if let Some(fields) = inside {
                take_fields(&mut inner, fields, found);
            }
            return of_message(inner, found, depth);
        }
    })
}

/// What a message as a whole stands for: a time, or what it wraps.
fn of_message<'a>(
    mut message: DynamicMessage,
    found: &mut BestValues<'_, 'a>,
    depth: usize,
) -> Option<Value<'a>> {
    let descriptor = message.descriptor();
    match descriptor.full_name() {
        "google.protobuf.Timestamp" => return timestamp(&message).map(Value::Time),
        "google.type.Date" => return Some(Value::Text(date(&message).into())),
        "google.type.DateTime" => return Some(date_time(&message)),
        _ => {}
    }
    let names: &[&str] = match descriptor.full_name() {
        // A value of JSON.
        "google.protobuf.Value" => &["string_value", "number_value", "bool_value"],
        _ => &WRAPPERS,
    };
    let wrapped = names.iter().filter_map(|name| descriptor.get_field_by_name(name));
    let mut is_known = false;
    for field in wrapped {
        is_known = true;
        if let Some(value) = take(&mut message, &field) {
            return value_of(value, &field, None, found, depth + 1);
        }
    }
    (!is_known).then_some(Value::Other("a message"))
}

fn enum_name<'a>(field: &FieldDescriptor, number: i32) -> Value<'a> {
    let name = match field.kind() {
        reflect::Kind::Enum(names) => names.get_value(number).map(|value| value.name().to_string()),
        _ => None,
    };
    name.map_or(Value::Integer(number.into()), |name| Value::Text(name.into()))
}

/// A field of a message that holds a whole number; 0 if it has none.
fn number(message: &DynamicMessage, name: &str) -> i64 {
    let Some(value) = message.get_field_by_name(name) else { return 0 };
    value.as_i64().or_else(|| value.as_i32().map(i64::from)).unwrap_or(0)
}

/// Milliseconds since the Unix epoch, unless they overflow.
fn timestamp(message: &DynamicMessage) -> Option<i64> {
    let millis = number(message, "seconds").checked_mul(1000)?;
    millis.checked_add(number(message, "nanos") / 1_000_000)
}

/// A date as in ISO 8601; a part that is not known is zero there, too, so that the date is not read.
fn date(message: &DynamicMessage) -> String {
    let [year, month, day] = ["year", "month", "day"].map(|name| number(message, name));
    format!("{year:04}-{month:02}-{day:02}")
}

/// A time as in ISO 8601, with its offset; in a zone with a name, it is the moment there.
fn date_time<'a>(message: &DynamicMessage) -> Value<'a> {
    let [hours, minutes, seconds] = ["hours", "minutes", "seconds"].map(|name| number(message, name));
    let millis = number(message, "nanos") / 1_000_000;
    let local = format!("{}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}", date(message));
    if let Some(offset) = inner(message, "utc_offset") {
        let offset = number(&offset, "seconds");
        let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs() / 60);
        return Value::Text(format!("{local}{sign}{:02}:{:02}", minutes / 60, minutes % 60).into());
    }
    let Some(zone) = inner(message, "time_zone") else { return Value::Text(local.into()) };
    let millis = zone.get_field_by_name("id").and_then(|id| {
        let timezone = id.as_str()?.parse().ok()?;
        time::parse_text(&local, &DateRules { timezone, ..DateRules::default() }).ok()
    });
    millis.map_or(Value::Other("a time in an unknown zone"), |moment| Value::Time(moment.millis))
}

/// The message in a field, if it is set.
fn inner(message: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
    let field = message.descriptor().get_field_by_name(name)?;
    message.has_field(&field).then(|| message.get_field(&field).as_message().cloned()).flatten()
}
