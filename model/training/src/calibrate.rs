//! What a staged bundle learns from its development rows: how sure it may be, and what its documents look like.

use fenliu_model::{Calibration, Classifier, DriftReference, Probabilities, Result};

use crate::staged::Staged;

impl Staged {
    /// Fits temperature and thresholds and measures what the documents look like, on the development rows: the
    /// bundle's `calibration.json` and `reference/drift.json`. `classifier` is this bundle's own. False when there
    /// are no development rows; nothing is written then.
    ///
    /// # Errors
    ///
    /// The classifier fails on a row, gives a logit that is not finite, or a file cannot be written.
    pub fn calibrate(&self, classifier: &mut Classifier) -> Result<bool> {
        let Some((encodings, gold)) = self.dev() else { return Ok(false) };
        let logits = classifier.logits(encodings)?;
        let calibration = Calibration::fit(&self.labels().ids(), gold, &logits)?;
        calibration.save(self.path())?;
        let at_temperature =
            |logits: &Vec<f32>| Probabilities::at_temperature(logits, calibration.temperature);
        let probabilities: Vec<Probabilities> = logits.iter().map(at_temperature).collect();
        let unk_id = classifier.encoder().tokenizer().unk_id();
        DriftReference::measure(self.labels(), encodings, unk_id, &probabilities)?.save(self.path())?;
        Ok(true)
    }
}
