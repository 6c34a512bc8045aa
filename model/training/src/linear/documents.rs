//! Documents as lists of the features that they have.

/// The columns of each document: a binary sparse matrix in compressed rows.
pub(super) struct Documents {
    columns: Vec<u32>,
    /// Where the columns of each document begin, and their number at the end.
    starts: Vec<usize>,
}

impl Documents {
    /// The known keys of each document, as their places in `vocabulary`, which is ascending.
    pub(super) fn new<'a>(documents: impl Iterator<Item = &'a [u64]>, vocabulary: &[u64]) -> Self {
        let (mut columns, mut starts) = (Vec::new(), vec![0]);
        for keys in documents {
            let known = keys.iter().filter_map(|key| vocabulary.binary_search(key).ok());
            columns.extend(known.map(|column| column as u32));
            starts.push(columns.len());
        }
        Self { columns, starts }
    }

    /// The columns of a document, ascending if its keys were.
    pub(super) fn columns(&self, document: usize) -> &[u32] {
        &self.columns[self.range(document)]
    }

    /// Where the columns of a document are among those of all.
    pub(super) fn range(&self, document: usize) -> std::ops::Range<usize> {
        self.starts[document]..self.starts[document + 1]
    }

    /// Number of documents.
    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::Documents;

    #[test]
    fn known_keys_become_columns() {
        let keys: [&[u64]; 3] = [&[1, 5, 9], &[], &[5, 6]];
        let documents = Documents::new(keys.into_iter(), &[5, 9]);
        assert_eq!(documents.len(), 3);
        assert_eq!([0, 1, 2].map(|row| documents.columns(row)), [[0, 1].as_slice(), &[], &[0]]);
    }
}
