//! The contract of sources: where documents come from.
//!
//! A source turns messages into [`Batch`]es of raw rows and remembers, in each batch's offsets, which
//! positions it covers. It draws each batch's bytes from the [`Budget`](fenliu_engine::batch::Budget) *before* handing
//! it on, so memory is bounded however far the stages behind lag. It never drops a message: one that cannot be decoded
//! becomes a row with a reject reason.

use std::sync::mpsc::SyncSender;

use fenliu_engine::Result;
use fenliu_engine::batch::Batch;

use crate::meter::Meter;
use crate::shutdown::Shutdown;

/// Makes batches until its input ends or shutdown is requested.
pub trait Source: Send {
    /// Sends batches to `out`; returns when there is no more, or when `out` is closed.
    ///
    /// # Errors
    /// What makes going on impossible. Documents that are bad are not errors.
    fn run(self: Box<Self>, out: &SyncSender<Batch>, meter: &Meter, shutdown: &Shutdown) -> Result<()>;
}
