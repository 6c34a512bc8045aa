//! Matrix products on borrowed slices, computed by the crate `gemm-f32`.
//!
//! It takes raw pointers, so its call is `unsafe`; the bounds are checked here before it.

use gemm_common::Parallelism;

/// A read-only matrix of `rows` x `columns` inside a slice, with any strides (in values).
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A matrix whose rows are contiguous and lie `row_stride` values apart.
    pub(super) fn new(values: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        Self { values, rows, columns, row_stride, column_stride: 1 }
    }

    /// The transpose: the same values, read the other way.
    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    fn extent(&self) -> usize {
        extent(self.rows, self.columns, self.row_stride, self.column_stride)
    }
}

fn extent(rows: usize, columns: usize, row_stride: usize, column_stride: usize) -> usize {
    if rows == 0 || columns == 0 { 0 } else { (rows - 1) * row_stride + (columns - 1) * column_stride + 1 }
}

/// How a product is written to its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// It replaces the values there.
    Set,
    /// It is added to the values there.
    Add,
}

/// The threads that compute a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Threads {
    /// The calling thread only.
    One,
    /// All threads of the current rayon pool. The order of each sum does not depend on their number.
    All,
}

/// `out = alpha * left * right` or `out += alpha * left * right`, with the rows of `out` contiguous and
/// `out_stride` values apart.
///
/// # Panics
///
/// If the shapes do not fit each other or the slices: a mistake in the calling operation.
pub(super) fn multiply(
    out: &mut [f32],
    out_stride: usize,
    left: Matrix<'_>,
    right: Matrix<'_>,
    alpha: f32,
    write: Write,
    threads: Threads,
) {
    assert_eq!(left.columns, right.rows, "inner dimensions");
    assert!(left.extent() <= left.values.len() && right.extent() <= right.values.len(), "operand bounds");
    assert!(extent(left.rows, right.columns, out_stride, 1) <= out.len(), "result bounds");
    assert!(out_stride >= right.columns || left.rows <= 1, "rows of the result overlap");
    let parallelism = match threads {
        Threads::One => Parallelism::None,
        Threads::All => Parallelism::Rayon(rayon::current_num_threads()),
    };
    // It computes `kept * out + alpha * left * right`; without `add` it does not read `out`, which may then hold
    // anything.
    let (add, kept) = match write {
        Write::Set => (false, 0.0),
        Write::Add => (true, 1.0),
    };
    // Its kernels write columns, and `out` has contiguous rows: so they compute the transpose, right' * left'.
    let (left, right) = (right.transposed(), left.transposed());
    let product = gemm_f32::gemm::f32::get_gemm_fn();
    // SAFETY: every element that is read or written lies inside its slice, by the assertions above; `out` is
    // borrowed mutably, so it overlaps neither operand, and its rows do not overlap each other.
    unsafe {
        product(
            left.rows,
            right.columns,
            left.columns,
            out.as_mut_ptr(),
            out_stride as isize,
            1,
            add,
            left.values.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.values.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            kept,
            alpha,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_replaces_or_adds() {
        let (left, right) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
        let matrix = |values| Matrix::new(values, 2, 2, 2);
        let mut out = [100.0; 4];
        multiply(&mut out, 2, matrix(&left), matrix(&right).transposed(), 1.0, Write::Set, Threads::One);
        assert_eq!(out, [17.0, 23.0, 39.0, 53.0]);
        multiply(&mut out, 2, matrix(&left), matrix(&right), 2.0, Write::Add, Threads::All);
        assert_eq!(out, [17.0 + 38.0, 23.0 + 44.0, 39.0 + 86.0, 53.0 + 100.0]);
    }
}
