//! Speed of the linear expert: keys of a text, and keys with scores, with and without segmentation.
fn main() {}
