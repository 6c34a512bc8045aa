//! Named parameters of dense layers.

/// A named vector or matrix, with its gradient if it is trained.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
    /// The sum of the gradients since the last step, one for each value; empty if the parameter is frozen.
    pub(crate) gradient: Vec<f32>,
}

impl Parameter {
    /// A frozen parameter; `values` are as many as `shape` says.
    pub(crate) fn new(name: String, shape: Vec<usize>, values: Vec<f32>) -> Self {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}");
        Self { name, shape, values, gradient: Vec::new() }
    }

    /// Whether steps of the optimiser change it.
    pub(crate) fn is_trained(&self) -> bool {
        !self.gradient.is_empty()
    }

    /// Makes it trained or frozen.
    pub(crate) fn set_trained(&mut self, is_trained: bool) {
        self.gradient = if is_trained { vec![0.0; self.values.len()] } else { Vec::new() };
    }
}
