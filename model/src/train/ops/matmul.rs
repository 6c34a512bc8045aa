//! Matrix products on borrowed slices through the `gemm` crate.
//!
//! The one place of the crate's training half that needs `unsafe`: bounds are checked here, before the call.

use gemm::Parallelism;

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

/// `out = alpha * left * right`, with the rows of `out` contiguous and `out_stride` values apart.
///
/// Uses the threads of the current rayon pool when `parallel`; each value of the result is summed in
/// one order whatever their number.
///
/// # Panics
///
/// If the shapes do not fit each other or the slices: a mistake in the calling op.
pub(super) fn multiply(
    out: &mut [f32],
    out_stride: usize,
    left: Matrix<'_>,
    right: Matrix<'_>,
    alpha: f32,
    parallel: bool,
) {
    assert_eq!(left.columns, right.rows, "inner dimensions");
    assert!(left.extent() <= left.values.len() && right.extent() <= right.values.len(), "operand bounds");
    assert!(extent(left.rows, right.columns, out_stride, 1) <= out.len(), "result bounds");
    assert!(out_stride >= right.columns || left.rows <= 1, "rows of the result overlap");
    let parallelism =
        if parallel { Parallelism::Rayon(rayon::current_num_threads()) } else { Parallelism::None };
    // SAFETY: every element that gemm reads or writes lies inside its slice, by the assertions above;
    // `out` is borrowed mutably, so it overlaps neither operand, and its rows do not overlap each other.
    unsafe {
        gemm::gemm(
            left.rows,
            right.columns,
            left.columns,
            out.as_mut_ptr(),
            1,
            out_stride as isize,
            false,
            left.values.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.values.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            0.0,
            alpha,
            false,
            false,
            false,
            parallelism,
        );
    }
}
