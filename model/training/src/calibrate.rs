//! Calibration of a staged bundle, and the reference for its drift, both measured on its development rows.

use fenliu_model::{
    Bundle, Calibration, ClassThreshold, Classifier, DriftReference, Label, Probabilities, Result, Tokenizer,
    UNK_ID,
};

use crate::staged::Staged;

impl Staged {
    /// Writes `calibration.json` (temperature, thresholds and goals, fitted to the development rows) and
    /// `reference/drift.json` (the distribution of those rows) into the bundle. `classifier` must be this
    /// bundle's.
    ///
    /// Returns false, and writes nothing, if there are no development rows.
    ///
    /// # Errors
    ///
    /// The classifier fails on a row or gives a logit that is not finite, or a file cannot be written.
    pub fn calibrate(&self, classifier: &mut Classifier) -> Result<bool> {
        let Some((encodings, gold)) = self.dev() else { return Ok(false) };
        let logits = classifier.logits(encodings)?;
        let calibration = Calibration::fit_per_source(&self.labels().ids(), gold, &logits)?;
        calibration.save(self.path())?;
        // The reference must be measured as documents will be in service: with the calibrated confidences.
        let at_temperature =
            |logits: &Vec<f32>| Probabilities::at_temperature(logits, calibration.temperature);
        let probabilities: Vec<Probabilities> = logits.iter().map(at_temperature).collect();
        let unk_id = classifier.encoder().tokenizer().map_or(UNK_ID, Tokenizer::unk_id);
        DriftReference::measure(self.labels(), encodings, unk_id, &probabilities)?.save(self.path())?;
        self.refit()?;
        Ok(true)
    }

    /// Gives the bundle the calibration and the reference of `base`, whose labels come first in its own. Corrections are
    /// mostly errors of `base`, so confidences that were fitted to them would be far too low for documents. A new label
    /// has the threshold of all labels together.
    ///
    /// Returns false, and writes nothing, if `base` is not calibrated.
    ///
    /// # Errors
    ///
    /// A file of `base` cannot be read, or one cannot be written.
    pub fn keep_calibration(&self, base: &Bundle) -> Result<bool> {
        let Some(mut calibration) = Calibration::load(base.path())? else { return Ok(false) };
        let new = self.labels().iter().skip(base.labels().len());
        let threshold = calibration.abstain_below;
        let class = |label: &Label| ClassThreshold { label: label.id.clone(), threshold, rows: 0 };
        calibration.thresholds.extend(new.map(class));
        calibration.save(self.path())?;
        if let Some(reference) = DriftReference::load(base.path(), base.labels())? {
            reference.with_labels(self.labels()).save(self.path())?;
        }
        self.refit()?;
        Ok(true)
    }
}
