//! Properties of characters that the standard library does not know (Unicode Standard Annex #44).

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

/// Whether the character is invisible unless a program supports it: zero-width characters, marks of direction, variation
/// selectors, tags, fillers (the property `Default_Ignorable_Code_Point`).
pub(crate) fn is_ignorable(character: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
}

/// The general category of the character.
pub(crate) fn category(character: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(character)
}
