//! From a kernel for one text to an operation on a column of texts.
//!
//! The text-to-text kernels of `fenliu_text` know nothing of Arrow. This module runs them over `Utf8`,
//! `LargeUtf8` and `Utf8View` columns, and over dictionaries of those. The result has the type of the input,
//! null stays null, and a column of which no text changes is returned as it is, without a copy.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ByteView, GenericStringArray, GenericStringBuilder, OffsetSizeTrait,
    StringViewArray, StringViewBuilder,
};
use arrow::datatypes::DataType;
use datafusion_common::{Result, ScalarValue, exec_err, plan_err};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs};

use crate::function::Operation;

/// A text-to-text kernel: writes the new text to an empty buffer and returns `true`, or returns `false` if
/// the text stays as it is, whatever the buffer then holds.
pub(crate) type Kernel = fn(&str, &mut String) -> bool;

/// Maps each text to another by a kernel.
#[derive(Debug)]
pub(crate) struct TextToText(pub(crate) Kernel);

// Always equal: functions are compared by their names too, and a name stands for one kernel. (The address of
// a Rust function is not a reliable identity.)
impl PartialEq for TextToText {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for TextToText {}

impl Hash for TextToText {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Operation for TextToText {
    fn argument_types(&self, name: &str, found: &[DataType]) -> Result<Vec<DataType>> {
        match found {
            [DataType::Dictionary(key, value)] => {
                Ok(vec![DataType::Dictionary(key.clone(), Box::new(text_type(name, value)?))])
            }
            _ => plain_text_type(name, found),
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> DataType {
        arguments.first().cloned().unwrap_or(DataType::Utf8)
    }

    fn invoke(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        map_first(args, |array| map_text(array, self.0))
    }
}

/// The string type to which an argument of type `found` is cast.
pub(crate) fn text_type(function: &str, found: &DataType) -> Result<DataType> {
    match found {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(found.clone()),
        DataType::Null => Ok(DataType::Utf8),
        other => plan_err!("{function} takes text, not {other}"),
    }
}

/// The type to which the one argument of a function is cast, if its result is not text; a dictionary is
/// unpacked.
pub(crate) fn plain_text_type(function: &str, found: &[DataType]) -> Result<Vec<DataType>> {
    match found {
        [DataType::Dictionary(_, value)] => Ok(vec![text_type(function, value)?]),
        [other] => Ok(vec![text_type(function, other)?]),
        _ => plan_err!("{function} takes one text, not {} arguments", found.len()),
    }
}

/// Runs `map` over the first argument, which is a column or a single value.
pub(crate) fn map_first(
    args: &ScalarFunctionArgs,
    map: impl Fn(&ArrayRef) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    match args.args.first() {
        Some(ColumnarValue::Array(array)) => Ok(ColumnarValue::Array(map(array)?)),
        Some(ColumnarValue::Scalar(value)) => {
            let one = map(&value.to_array()?)?;
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&one, 0)?))
        }
        None => exec_err!("a text function was called without arguments"),
    }
}

/// The texts of a `Utf8`, `LargeUtf8` or `Utf8View` column, in order.
pub(crate) fn texts(array: &dyn Array) -> Result<Vec<Option<&str>>> {
    match array.data_type() {
        DataType::Utf8 => Ok(array.as_string::<i32>().iter().collect()),
        DataType::LargeUtf8 => Ok(array.as_string::<i64>().iter().collect()),
        DataType::Utf8View => Ok(array.as_string_view().iter().collect()),
        other => exec_err!("a text function was called on {other}"),
    }
}

/// Runs `kernel` over every text of a column or dictionary.
pub(crate) fn map_text(array: &ArrayRef, kernel: Kernel) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Utf8 => map_offsets(array, array.as_string::<i32>(), kernel),
        DataType::LargeUtf8 => map_offsets(array, array.as_string::<i64>(), kernel),
        DataType::Utf8View => map_views(array, array.as_string_view(), kernel),
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary();
            // Each distinct text is cleaned once, and the keys stay as they are.
            Ok(dictionary.with_values(map_text(dictionary.values(), kernel)?))
        }
        other => exec_err!("a text function was called on {other}"),
    }
}

/// Runs `kernel` over a `Utf8` or `LargeUtf8` column. A new column is built from the first text on that
/// changes.
fn map_offsets<O: OffsetSizeTrait>(
    original: &ArrayRef,
    array: &GenericStringArray<O>,
    kernel: Kernel,
) -> Result<ArrayRef> {
    let mut scratch = String::new();
    let mut rebuilt: Option<GenericStringBuilder<O>> = None;
    for (row, text) in array.iter().enumerate() {
        scratch.clear();
        let changed = text.is_some_and(|text| kernel(text, &mut scratch));
        if !changed && rebuilt.is_none() {
            continue;
        }
        let builder = match &mut rebuilt {
            Some(builder) => builder,
            None => rebuilt.insert(copy_of_first::<O>(array, row)?),
        };
        let text = text.map(|text| if changed { scratch.as_str() } else { text });
        let total = builder.values_slice().len() + text.map_or(0, str::len);
        // Arrow's builder panics when an offset overflows; for `i64` this never happens.
        if O::from_usize(total).is_none() {
            return exec_err!("a column of cleaned text is larger than 2 GiB; use smaller batches");
        }
        builder.append_option(text);
    }
    Ok(rebuilt.map_or_else(|| Arc::clone(original), |mut builder| Arc::new(builder.finish())))
}

/// A builder that has room for all of `array`, and holds its first `rows` rows.
fn copy_of_first<O: OffsetSizeTrait>(
    array: &GenericStringArray<O>,
    rows: usize,
) -> Result<GenericStringBuilder<O>> {
    let mut builder = GenericStringBuilder::with_capacity(array.len(), array.values().len());
    builder.append_array(&array.slice(0, rows))?;
    Ok(builder)
}

/// Runs `kernel` over a `Utf8View` column. Texts that do not change keep their buffers; only changed ones are
/// written.
fn map_views(original: &ArrayRef, array: &StringViewArray, kernel: Kernel) -> Result<ArrayRef> {
    let mut builder = StringViewBuilder::with_capacity(array.len());
    let blocks: Vec<u32> =
        array.data_buffers().iter().map(|buffer| builder.append_block(buffer.clone())).collect();
    let mut scratch = String::new();
    let mut any_changed = false;
    for (text, view) in array.iter().zip(array.views().iter()) {
        scratch.clear();
        let Some(text) = text else {
            builder.append_null();
            continue;
        };
        if kernel(text, &mut scratch) {
            any_changed = true;
            builder.try_append_value(&scratch)?;
            continue;
        }
        let view = ByteView::from(*view);
        // A view of at most 12 bytes holds its text itself and refers to no buffer.
        match blocks.get(view.buffer_index as usize) {
            Some(&block) if view.length > 12 => builder.try_append_view(block, view.offset, view.length)?,
            _ => builder.try_append_value(text)?,
        }
    }
    Ok(if any_changed { Arc::new(builder.finish()) } else { Arc::clone(original) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::compute::cast;

    /// Doubles texts that contain an `x`; leaves garbage in the buffer for others, as kernels may.
    fn double_x(text: &str, out: &mut String) -> bool {
        out.push_str("left behind");
        if !text.contains('x') {
            return false;
        }
        out.clear();
        out.push_str(text);
        out.push_str(text);
        true
    }

    fn column(values: &[Option<&str>], data_type: &DataType) -> ArrayRef {
        let array: ArrayRef = Arc::new(arrow::array::StringArray::from(values.to_vec()));
        cast(&array, data_type).unwrap()
    }

    fn layouts() -> Vec<DataType> {
        let dictionary = |value: DataType| DataType::Dictionary(Box::new(DataType::Int32), Box::new(value));
        vec![
            DataType::Utf8,
            DataType::LargeUtf8,
            DataType::Utf8View,
            dictionary(DataType::Utf8),
            dictionary(DataType::LargeUtf8),
        ]
    }

    #[test]
    fn every_layout_gives_the_same_texts_and_keeps_its_type() {
        let long = "a line that is too long to be held in a view";
        let long_x = "a text that is too long to be held in a view, x";
        let input = [Some("a"), None, Some("x"), Some(long), Some(long_x), Some(""), Some("a")];
        let doubled = long_x.repeat(2);
        let expected = [Some("a"), None, Some("xx"), Some(long), Some(doubled.as_str()), Some(""), Some("a")];
        for data_type in layouts() {
            let mapped = map_text(&column(&input, &data_type), double_x).unwrap();
            assert_eq!(mapped.data_type(), &data_type);
            assert_eq!(&cast(&mapped, &DataType::Utf8).unwrap(), &column(&expected, &DataType::Utf8));
        }
    }

    #[test]
    fn a_slice_maps_like_the_rows_it_shows() {
        let input =
            [Some("x"), Some("not this, it is long enough to be a view"), None, Some("x1"), Some("b")];
        for data_type in layouts() {
            let mapped = map_text(&column(&input, &data_type).slice(1, 3), double_x).unwrap();
            let mapped = cast(&mapped, &DataType::Utf8).unwrap();
            assert_eq!(&mapped, &column(&[input[1], None, Some("x1x1")], &DataType::Utf8), "{data_type}");
        }
    }

    #[test]
    fn an_unchanged_column_is_not_copied() {
        for data_type in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View] {
            let array = column(&[Some("a"), None, Some("b")], &data_type);
            assert!(Arc::ptr_eq(&array, &map_text(&array, double_x).unwrap()), "{data_type}");
        }
    }
}
