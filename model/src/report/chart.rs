//! Charts of a page, as SVG.

use super::html::{Html, text};

/// One axis of a chart.
pub(super) struct Axis {
    label: &'static str,
    ticks: Vec<f64>,
    digits: usize,
}

impl Axis {
    /// From 0 to 1.
    pub(super) fn share(label: &'static str) -> Self {
        Self { label, ticks: vec![0.0, 0.25, 0.5, 0.75, 1.0], digits: 2 }
    }

    /// From the smallest to the largest of `values`.
    pub(super) fn over(
        label: &'static str,
        values: impl Iterator<Item = f64> + Clone,
        digits: usize,
    ) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        // A scale is also needed if there is only one value, or none.
        let (low, high) = if low < high { (low, high) } else { (high - 0.5, high + 0.5) };
        let (low, high) = if low.is_finite() { (low, high) } else { (0.0, 1.0) };
        Self { label, ticks: (0..5).map(|step| low + (high - low) * f64::from(step) / 4.0).collect(), digits }
    }

    /// From 1 to `last` or a little more, with about ten ticks.
    pub(super) fn numbers(label: &'static str, last: usize) -> Self {
        let step = last.div_ceil(10).max(1);
        let mut ticks: Vec<f64> = (1..last + step).step_by(step).map(|number| number as f64).collect();
        if ticks.len() < 2 {
            ticks = vec![0.0, 1.0];
        }
        Self { label, ticks, digits: 0 }
    }

    fn place(&self, value: f64) -> f64 {
        let (low, high) = (self.ticks.first().unwrap_or(&0.0), self.ticks.last().unwrap_or(&1.0));
        (value - low) / (high - low)
    }
}

/// The style of a mark: the first or second series, or a reference line.
#[derive(Clone, Copy)]
pub(super) enum Ink {
    One,
    Two,
    Guide,
}

impl Ink {
    fn class(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Two => "two",
            Self::Guide => "guide",
        }
    }
}

/// A chart being drawn.
pub(super) struct Chart {
    caption: String,
    size: Size,
    x: Axis,
    y: Axis,
    marks: Html,
    legend: Html,
}

/// The position of the plot in the picture.
struct Size {
    width: f64,
    height: f64,
    left: f64,
    bottom: f64,
    margin: f64,
}

const NORMAL: Size = Size { width: 380.0, height: 270.0, left: 52.0, bottom: 40.0, margin: 16.0 };
const SMALL: Size = Size { width: 150.0, height: 140.0, left: 4.0, bottom: 4.0, margin: 4.0 };

impl Chart {
    /// A chart with labelled axes.
    pub(super) fn new(caption: &str, x: Axis, y: Axis) -> Self {
        Self {
            caption: caption.to_owned(),
            size: NORMAL,
            x,
            y,
            marks: Html::default(),
            legend: Html::default(),
        }
    }

    /// A small chart without labels, one of a series.
    pub(super) fn small(caption: &str, x: Axis, y: Axis) -> Self {
        Self { size: SMALL, ..Self::new(caption, x, y) }
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let size = &self.size;
        let width = size.width - size.left - size.margin;
        let height = size.height - size.bottom - size.margin;
        (size.left + self.x.place(x) * width, size.margin + (1.0 - self.y.place(y)) * height)
    }

    /// A line through `points`. Its name is added to the legend if it is not empty.
    pub(super) fn line(mut self, name: &str, ink: Ink, points: &[(f64, f64)]) -> Self {
        let places: Vec<String> = points
            .iter()
            .map(|point| {
                let (x, y) = self.place(*point);
                format!("{x:.1},{y:.1}")
            })
            .collect();
        let class = ink.class();
        self.marks.0 += &format!("<polyline class=\"{class}\" points=\"{}\"/>\n", places.join(" "));
        if !name.is_empty() {
            self.legend.0 += &format!("<span class=\"key {class}\"></span>{}", text(name));
        }
        self
    }

    /// A bar from the horizontal axis to `y`.
    pub(super) fn bar(mut self, (from, to): (f64, f64), y: f64) -> Self {
        let (left, top) = self.place((from, y));
        let base = self.y.ticks.first().copied().unwrap_or(0.0);
        let (right, bottom) = self.place((to, base));
        let (width, height) = (right - left, bottom - top);
        self.marks.0 += &format!(
            "<rect class=\"bar\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>\n"
        );
        self
    }

    /// A dot.
    pub(super) fn dot(mut self, point: (f64, f64)) -> Self {
        let (x, y) = self.place(point);
        self.marks.0 += &format!("<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>\n");
        self
    }

    /// The figure with its caption and legend.
    pub(super) fn figure(self) -> Html {
        let Size { width, height, .. } = self.size;
        let is_small = width < NORMAL.width;
        let labels = if is_small { Html::default() } else { self.labels() };
        let legend = if self.legend.0.is_empty() {
            Html::default()
        } else {
            Html(format!("<p class=\"legend\">{}</p>\n", self.legend))
        };
        let caption = text(&self.caption);
        Html(format!(
            "<figure><figcaption>{caption}</figcaption>\n\
             <svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{caption}\">\n{}{labels}{}</svg>\n{legend}</figure>\n",
            self.grid(),
            self.marks
        ))
    }

    fn grid(&self) -> Html {
        let ends = |axis: &Axis| {
            (axis.ticks.first().copied().unwrap_or(0.0), axis.ticks.last().copied().unwrap_or(1.0))
        };
        let ((left, right), (bottom, top)) = (ends(&self.x), ends(&self.y));
        let vertical = self.x.ticks.iter().map(|tick| ((*tick, bottom), (*tick, top)));
        let horizontal = self.y.ticks.iter().map(|tick| ((left, *tick), (right, *tick)));
        let line = |(from, to)| {
            let ((x1, y1), (x2, y2)) = (self.place(from), self.place(to));
            Html(format!(
                "<line class=\"grid\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>\n"
            ))
        };
        vertical.chain(horizontal).map(line).collect()
    }

    fn labels(&self) -> Html {
        let corner = (self.x.ticks.first().copied(), self.y.ticks.first().copied());
        let (left, bottom) = self.place((corner.0.unwrap_or(0.0), corner.1.unwrap_or(0.0)));
        let below = self.x.ticks.iter().map(|tick| {
            let (x, _) = self.place((*tick, 0.0));
            let y = bottom + 14.0;
            Html(format!(
                "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{tick:.*}</text>\n",
                self.x.digits
            ))
        });
        let beside = self.y.ticks.iter().map(|tick| {
            let (_, y) = self.place((0.0, *tick));
            let (x, y) = (left - 5.0, y + 4.0);
            Html(format!(
                "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{tick:.*}</text>\n",
                self.y.digits
            ))
        });
        let Size { width, height, .. } = self.size;
        let names = Html(format!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n\
             <text transform=\"translate(12 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
            f64::midpoint(left, width),
            height - 6.0,
            text(self.x.label),
            bottom / 2.0,
            text(self.y.label)
        ));
        below.chain(beside).chain([names]).collect()
    }
}

/// Charts side by side, closer together if `small`; empty without charts.
pub(super) fn figures(charts: Vec<Chart>, small: bool) -> Html {
    if charts.is_empty() {
        return Html::default();
    }
    let class = if small { "figures small" } else { "figures" };
    let charts: Html = charts.into_iter().map(Chart::figure).collect();
    Html(format!("<div class=\"{class}\">\n{charts}</div>\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_of_the_axes_are_corners_of_the_plot() {
        let chart = Chart::new("<c>", Axis::share("x"), Axis::share("y"));
        assert_eq!(chart.place((0.0, 0.0)), (52.0, 230.0));
        assert_eq!(chart.place((1.0, 1.0)), (364.0, 16.0));
        let figure = chart.line("<one>", Ink::One, &[(0.0, 0.0), (1.0, 1.0)]).dot((0.5, 0.5)).figure().0;
        assert!(figure.contains("points=\"52.0,230.0 364.0,16.0\""), "{figure}");
        assert!(!figure.contains("<c>") && !figure.contains("<one>"));
    }

    #[test]
    fn every_axis_has_a_scale() {
        let axes = [
            Axis::over("a", [].into_iter(), 1),
            Axis::over("a", [3.0].into_iter(), 1),
            Axis::over("a", [3.0, 4.0].into_iter(), 1),
            Axis::numbers("a", 0),
            Axis::numbers("a", 1),
            Axis::numbers("a", 25),
        ];
        for axis in axes {
            assert!(axis.place(0.7).is_finite(), "{:?}", axis.ticks);
            assert!((2..=11).contains(&axis.ticks.len()), "{:?}", axis.ticks);
        }
    }
}
