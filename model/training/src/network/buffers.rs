//! Memory for activations that is reused from step to step. Getting fresh pages from the system would take
//! longer than the computation on them.

/// Free buffers.
#[derive(Default)]
pub(crate) struct Buffers(Vec<Vec<f32>>);

impl Buffers {
    /// A buffer of `length` values with unspecified content.
    pub(crate) fn take(&mut self, length: usize) -> Vec<f32> {
        // The smallest buffer that is large enough, or else the largest, which then grows. Buffers of a very
        // different size are not considered: a small vector would occupy the memory that a large one needs
        // later.
        let near = length / 4..=4 * length;
        let candidates = self.0.iter().enumerate().map(|(at, buffer)| (at, buffer.capacity()));
        let best = candidates
            .filter(|(_, capacity)| near.contains(capacity))
            .min_by_key(|(_, capacity)| if *capacity >= length { *capacity } else { usize::MAX - capacity });
        let mut buffer = best.map_or_else(Vec::new, |(at, _)| self.0.swap_remove(at));
        // `resize` would copy the old content when it reallocates, and that content is never read.
        if buffer.capacity() < length {
            buffer.clear();
        }
        buffer.resize(length, 0.0);
        buffer
    }

    /// Takes a buffer back.
    pub(crate) fn give(&mut self, buffer: Vec<f32>) {
        if buffer.capacity() > 0 {
            self.0.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Buffers;

    #[test]
    fn a_buffer_that_was_given_back_is_used_again() {
        let mut buffers = Buffers::default();
        let first = buffers.take(2000);
        let address = first.as_ptr();
        buffers.give(first);
        let second = buffers.take(1500);
        assert_eq!((second.len(), second.as_ptr()), (1500, address));
        let third = buffers.take(1500);
        assert_ne!(third.as_ptr(), address, "it is in use");
        buffers.give(second);
        assert_eq!(buffers.take(3000).len(), 3000);
    }
}
