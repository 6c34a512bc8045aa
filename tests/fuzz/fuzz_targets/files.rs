//! Files of any kind: every row is handed out or a reason is given, and a second reading gives the same rows.
#![no_main]

use std::io::{self, Cursor, Read};
use std::sync::Arc;

use fenliu_decode::file::{FileRules, Input, open};
use libfuzzer_sys::fuzz_target;

#[derive(Debug)]
struct Bytes(Arc<[u8]>);

impl Input for Bytes {
    fn name(&self) -> &str {
        "fuzz"
    }

    fn length(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_from(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut cursor = Cursor::new(Arc::clone(&self.0));
        cursor.set_position(offset);
        Ok(Box::new(cursor))
    }
}

/// The numbers of the rows that a file hands out.
fn numbers(data: &Arc<[u8]>) -> Vec<i64> {
    let Ok(mut rows) = open(Arc::new(Bytes(Arc::clone(data))), &FileRules::default(), 0) else { return vec![] };
    let mut numbers = vec![];
    while let Ok(Some(row)) = rows.next_row() {
        numbers.push(row.number);
    }
    numbers
}

fuzz_target!(|data: &[u8]| {
    let data: Arc<[u8]> = data.into();
    let first = numbers(&data);
    assert!(first.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(first, numbers(&data));
});
