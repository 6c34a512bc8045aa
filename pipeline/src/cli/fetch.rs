//! Fetches checkpoints from a hub, for the commands that read them.

use fenliu_training::hub::{self, HubOptions, Reference, Snapshot};
use indicatif::ProgressBar;

use super::output;
use crate::error::{Converted, Result};
use crate::progress::bar;

/// Fetches what an import of `hf:OWNER/NAME[@REVISION]` needs, as far as it is not there yet, and says its commit.
pub(super) fn fetch(reference: &str) -> Result<Snapshot> {
    let reference = reference.parse::<Reference>().converted()?;
    let options = HubOptions::from_environment().converted()?;
    let mut download = Download::default();
    let snapshot =
        hub::fetch(&reference, &options, &mut |progress| download.advance(&progress)).converted()?;
    drop(download);
    output::note(format!("{reference} is the commit {}", snapshot.commit));
    Ok(snapshot)
}

/// Reports the progress of a download: a bar for each file on a terminal.
#[derive(Default)]
struct Download {
    file: String,
    bar: Option<ProgressBar>,
}

impl Download {
    fn advance(&mut self, progress: &hub::Progress<'_>) {
        if self.file != progress.file {
            self.clear();
            progress.file.clone_into(&mut self.file);
        }
        let bar = self.bar.get_or_insert_with(|| bar(Some(progress.total), "bytes"));
        bar.set_position(progress.bytes);
        bar.set_message(self.file.clone());
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.clear();
    }
}
