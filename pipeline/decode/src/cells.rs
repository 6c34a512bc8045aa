//! The values in the cells of Arrow columns, whatever their types.

use std::borrow::Cow;
use std::fmt::Write as _;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray, StructArray,
    TimestampMillisecondArray, UInt64Array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, UInt64Type,
};
use arrow::error::ArrowError;

use crate::fields::{BestValues, Fields};
use crate::value::{DEEPEST, MOST_ELEMENTS, Value, WRAPPERS};

/// How many bytes a UUID has.
const UUID_BYTES: i32 = 16;

/// Rows of Arrow columns. The columns are brought to a few types when the table is made, which is much cheaper than
/// looking at the type of each cell.
#[derive(Clone, Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
}

#[derive(Clone, Debug)]
struct Column {
    name: String,
    /// Which cells of the original column are null. A cell that is null only here could not be converted.
    nulls: Option<NullBuffer>,
    cells: Cells,
}

#[derive(Clone, Debug)]
enum Cells {
    Texts(StringArray),
    /// Numbers with more digits than `f64` has.
    Digits(StringArray),
    Bytes(BinaryArray),
    Uuids(BinaryArray),
    Times(TimestampMillisecondArray),
    Integers(Int64Array),
    Unsigned(UInt64Array),
    Numbers(Float64Array),
    Booleans(BooleanArray),
    /// Lists of one kind or the other; their elements are looked at one list at a time.
    Lists(ArrayRef),
    Structs(Table),
    /// Of another type, which no part of a document takes.
    Other,
}

impl Table {
    /// The rows of `columns`.
    ///
    /// # Errors
    /// A column that cannot be converted.
    pub(super) fn try_new(columns: &StructArray) -> Result<Self, ArrowError> {
        Table::nested(columns, 0)
    }

    fn nested(columns: &StructArray, depth: usize) -> Result<Self, ArrowError> {
        let column = |(name, array): (&str, &ArrayRef)| {
            Ok(Column { name: name.to_owned(), nulls: array.logical_nulls(), cells: cells(array, depth)? })
        };
        let columns = columns.column_names().into_iter().zip(columns.columns()).map(column);
        Ok(Table { columns: columns.collect::<Result<_, ArrowError>>()? })
    }

    /// Offers the wanted fields of `row` to `found`.
    pub(super) fn take<'m, 'a>(&'a self, row: usize, fields: &'m Fields, found: &mut BestValues<'m, 'a>) {
        for column in &self.columns {
            let Some(wanted) = fields.get(&column.name) else { continue };
            if let Cells::Structs(inside) = &column.cells
                && column.is_valid(row)
            {
                inside.take(row, &wanted.inside, found);
            }
            if let Some(value) = column.value(row, 0) {
                // Only bytes that are no UTF-8 had to be decoded to a new text.
                if matches!((&column.cells, &value), (Cells::Bytes(_), Value::Text(Cow::Owned(_)))) {
                    found.warn("charset", "guessed");
                }
                found.offer(wanted, value);
            }
        }
    }

    /// What the struct in `row` wraps; `None` if that is null.
    fn wrapped(&self, row: usize, depth: usize) -> Option<Value<'_>> {
        let inner = WRAPPERS.iter().find_map(|name| self.columns.iter().find(|column| column.name == *name));
        match inner {
            Some(column) => column.value(row, depth + 1),
            None => Some(Value::Other("a struct")),
        }
    }
}

impl Column {
    fn is_valid(&self, row: usize) -> bool {
        self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row))
    }

    /// The value in `row`; `None` if it is null.
    fn value(&self, row: usize, depth: usize) -> Option<Value<'_>> {
        if !self.is_valid(row) {
            return None;
        }
        Some(match &self.cells {
            Cells::Texts(texts) => Value::Text(texts.value(row).into()),
            Cells::Digits(digits) => Value::Digits(digits.value(row).into()),
            Cells::Bytes(bytes) => Value::Text(text(bytes.value(row))),
            Cells::Uuids(uuids) => Value::Text(uuid(uuids.value(row)).into()),
            // Conversion gives null where the time overflows in milliseconds.
            Cells::Times(times) if times.is_null(row) => Value::Other("a time out of bounds"),
            Cells::Times(times) => Value::Time(times.value(row)),
            Cells::Integers(numbers) => Value::Integer(numbers.value(row)),
            Cells::Unsigned(numbers) => {
                let number = numbers.value(row);
                i64::try_from(number).map_or(Value::Digits(number.to_string().into()), Value::Integer)
            }
            Cells::Numbers(numbers) => Value::Number(numbers.value(row)),
            Cells::Booleans(flags) => Value::Boolean(flags.value(row)),
            Cells::Lists(lists) => elements(lists, row, depth),
            Cells::Structs(inside) => return inside.wrapped(row, depth),
            Cells::Other => Value::Other("of another type"),
        })
    }
}

/// The cells of `array` in one of a few types.
fn cells(array: &ArrayRef, depth: usize) -> Result<Cells, ArrowError> {
    Ok(match array.data_type() {
        DataType::Dictionary(_, values) => cells(&cast(array, values)?, depth)?,
        DataType::RunEndEncoded(_, values) => cells(&cast(array, values.data_type())?, depth)?,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Cells::Texts(strings(array)?),
        DataType::Decimal32(..) | DataType::Decimal64(..) => Cells::Digits(strings(array)?),
        DataType::Decimal128(..) | DataType::Decimal256(..) => Cells::Digits(strings(array)?),
        // `cast` would round times before 1970 towards 1970.
        DataType::Timestamp(TimeUnit::Microsecond, _) => Cells::Times(
            array.as_primitive::<TimestampMicrosecondType>().unary(|micros| micros.div_euclid(1_000)),
        ),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => Cells::Times(
            array.as_primitive::<TimestampNanosecondType>().unary(|nanos| nanos.div_euclid(1_000_000)),
        ),
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => {
            let times = cast(array, &DataType::Timestamp(TimeUnit::Millisecond, None))?;
            Cells::Times(times.as_primitive::<TimestampMillisecondType>().clone())
        }
        DataType::UInt64 => Cells::Unsigned(array.as_primitive::<UInt64Type>().clone()),
        DataType::Boolean => Cells::Booleans(array.as_boolean().clone()),
        DataType::FixedSizeBinary(UUID_BYTES) => Cells::Uuids(binaries(array)?),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            Cells::Bytes(binaries(array)?)
        }
        DataType::List(_) | DataType::LargeList(_) => Cells::Lists(ArrayRef::clone(array)),
        DataType::Struct(_) if depth < DEEPEST => {
            Cells::Structs(Table::nested(array.as_struct(), depth + 1)?)
        }
        other if other.is_integer() => {
            Cells::Integers(cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
        }
        other if other.is_floating() => {
            Cells::Numbers(cast(array, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
        }
        _ => Cells::Other,
    })
}

fn strings(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    Ok(cast(array, &DataType::Utf8)?.as_string::<i32>().clone())
}

fn binaries(array: &ArrayRef) -> Result<BinaryArray, ArrowError> {
    Ok(cast(array, &DataType::Binary)?.as_binary::<i32>().clone())
}

/// The elements of the list in `row`.
fn elements<'a>(lists: &ArrayRef, row: usize, depth: usize) -> Value<'a> {
    let elements = match lists.as_list_opt::<i32>() {
        Some(lists) => lists.value(row),
        None => lists.as_list::<i64>().value(row),
    };
    if depth >= DEEPEST {
        return Value::Other("a value that is nested too deeply");
    }
    let elements = elements.slice(0, elements.len().min(MOST_ELEMENTS));
    let Ok(cells) = cells(&elements, depth + 1) else { return Value::Other("of another type") };
    let column = Column { name: String::new(), nulls: elements.logical_nulls(), cells };
    Value::List(
        (0..elements.len()).filter_map(|row| column.value(row, depth + 1)).map(Value::into_owned).collect(),
    )
}

/// Bytes as text: some writers do not say that their bytes are text, and some do not write UTF-8.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => fenliu_text::decode(bytes, None),
    }
}

/// A UUID in its usual notation, unless the 16 bytes are a text.
fn uuid(bytes: &[u8]) -> String {
    let is_text = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    if bytes.iter().all(is_text) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let mut written = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            written.push('-');
        }
        // Writing to a string cannot fail.
        let _ = write!(written, "{byte:02x}");
    }
    written
}

/// `columns` with text in place of bytes, for notations such as JSON that have no bytes.
///
/// # Errors
/// A column that cannot be converted.
pub(super) fn bytes_as_text(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    Ok(match cells(column, 0)? {
        Cells::Bytes(bytes) => {
            std::sync::Arc::new(bytes.iter().map(|cell| cell.map(text)).collect::<StringArray>())
        }
        Cells::Uuids(uuids) => {
            std::sync::Arc::new(uuids.iter().map(|cell| cell.map(uuid)).collect::<StringArray>())
        }
        _ => ArrayRef::clone(column),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        Date32Array, DictionaryArray, LargeStringArray, StringViewArray, TimestampNanosecondArray,
    };
    use arrow::datatypes::Int32Type;
    use std::sync::Arc;

    fn shown(array: &ArrayRef) -> Vec<Option<String>> {
        let rows = array.len();
        let column =
            Column { name: String::new(), nulls: array.logical_nulls(), cells: cells(array, 0).unwrap() };
        (0..rows).map(|row| column.value(row, 0).map(|value| value.to_string())).collect()
    }

    #[test]
    fn a_text_is_a_text_in_every_type() {
        let dictionary: DictionaryArray<Int32Type> = vec![Some("新闻"), None].into_iter().collect();
        let arrays: [ArrayRef; 5] = [
            Arc::new(StringArray::from(vec![Some("新闻"), None])),
            Arc::new(LargeStringArray::from(vec![Some("新闻"), None])),
            Arc::new(StringViewArray::from(vec![Some("新闻"), None])),
            Arc::new(BinaryArray::from(vec![Some("新闻".as_bytes()), None])),
            Arc::new(dictionary),
        ];
        for array in arrays {
            assert_eq!(shown(&array), [Some("\"新闻\"".into()), None], "{:?}", array.data_type());
        }
    }

    #[test]
    fn bytes_in_another_charset_are_decoded_and_never_hexadecimal() {
        let gbk = encoding_rs::GBK.encode("央行宣布降低存款准备金率，市场反应平稳").0.into_owned();
        let column: ArrayRef = Arc::new(BinaryArray::from(vec![gbk.as_slice()]));
        let as_text = bytes_as_text(&column).unwrap();
        assert_eq!(as_text.as_string::<i32>().value(0), "央行宣布降低存款准备金率，市场反应平稳");
    }

    #[test]
    fn times_of_all_units_are_milliseconds_and_one_out_of_bounds_is_no_null() {
        let day: ArrayRef = Arc::new(Date32Array::from(vec![Some(1), None]));
        let value = |array: &ArrayRef| {
            let column =
                Column { name: String::new(), nulls: array.logical_nulls(), cells: cells(array, 0).unwrap() };
            format!("{:?}", column.value(0, 0))
        };
        assert_eq!(value(&day), "Some(Time(86400000))");
        let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_700_000_000_250_000_000]));
        assert_eq!(value(&nanos), "Some(Time(1700000000250))");
        let before: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![-1]));
        assert_eq!(value(&before), "Some(Time(-1))");
        let far: ArrayRef = Arc::new(arrow::array::TimestampSecondArray::from(vec![i64::MAX]));
        assert!(value(&far).contains("out of bounds"));
    }

    #[test]
    fn sixteen_bytes_are_a_uuid_unless_they_are_a_text() {
        assert_eq!(uuid(&[0xab; 16]), "abababab-abab-abab-abab-abababababab");
        assert_eq!(uuid(b"sixteen letters!"), "sixteen letters!");
    }
}
