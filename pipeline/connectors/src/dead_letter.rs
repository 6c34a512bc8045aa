//! A dead letter as it is read back.

/// A header of a message: its name, and its value, which may be null.
pub type OwnedHeader = (String, Option<Vec<u8>>);

/// A document that the pipeline set aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where the message stood: topic, or a file's path.
    pub topic: String,
    /// Its partition; 0 for files.
    pub partition: i32,
    /// Its offset; the row's number for files.
    pub offset: i64,
    /// Its Kafka timestamp, milliseconds since the Unix epoch, where it had one.
    pub timestamp_ms: Option<i64>,
    /// The document's own identifier, where it could be decoded and the letter is in a file.
    pub id: Option<String>,
    /// The stage that set it aside: `decode`, `clean`, `tokenize`, `infer`, `write`.
    pub stage: String,
    /// Why, in a word.
    pub reason: String,
    /// Why, in a sentence.
    pub detail: Option<String>,
    /// The model that could not handle it.
    pub model_version: Option<String>,
    /// When it was set aside, milliseconds since the Unix epoch.
    pub rejected_at_ms: Option<i64>,
    /// The message's bytes; none where files hold no such column, or it was not asked for.
    pub payload: Option<Vec<u8>>,
    /// How many bytes the message has, where the letter has only the first of them, since its topic takes no more.
    pub cut_from: Option<u64>,
    /// The message's key, where it had one and the payload was asked for. Releases that kept no keys left none.
    pub key: Option<Vec<u8>>,
    /// The message's headers in order, as with the key. A message that was replayed has those of fenliu in letters in
    /// files; in topics they would be taken for those of the letter, and are left out.
    pub headers: Vec<OwnedHeader>,
}

impl DeadLetter {
    /// The message that it was, as `topic/partition/offset`.
    pub fn origin(&self) -> String {
        format!("{}/{}/{}", self.topic, self.partition, self.offset)
    }
}
