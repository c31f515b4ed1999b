//! Time over the pixels of a picture, drawn on two logarithmic axes: what is linear is straight,
//! with the slope of the grey line.

use std::fmt::Write as _;

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    /// Height and width in pixels.
    pub(super) side_px: usize,
    /// Milliseconds.
    pub(super) ms: f64,
}

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 380.0;
/// Room around the axes: left, top, right, bottom.
const MARGINS: [f64; 4] = [70.0, 40.0, 30.0, 50.0];

/// An SVG of `points`, of which there is at least one.
pub(super) fn svg(points: &[Point], what: &str) -> String {
    let pixels = |p: &Point| (p.side_px * p.side_px) as f64;
    let x = Axis::over(points.iter().map(pixels), MARGINS[0], WIDTH - MARGINS[2]);
    let y = Axis::over(points.iter().map(|p| p.ms), HEIGHT - MARGINS[3], MARGINS[1]);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{}\" y=\"22\" font-size=\"14\">Milliseconds of one {what} over its pixels</text>\n",
        MARGINS[0]
    );
    for tick in y.ticks() {
        let at = y.place(tick);
        let _ = writeln!(
            out,
            "<line x1=\"{}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{tick}</text>",
            MARGINS[0],
            WIDTH - MARGINS[2],
            MARGINS[0] - 8.0,
            at + 4.0
        );
    }
    // What the smallest size would cost at every size, were cost linear in pixels.
    if let (Some(first), Some(last)) = (points.first(), points.last()) {
        let linear = first.ms * pixels(last) / pixels(first);
        let _ = writeln!(
            out,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#999\" \
             stroke-dasharray=\"5 4\"/>",
            x.place(pixels(first)),
            y.place(first.ms),
            x.place(pixels(last)),
            y.place(linear)
        );
    }
    let mut path = String::new();
    for point in points {
        let (px, py) = (x.place(pixels(point)), y.place(point.ms));
        let _ = write!(path, "{px:.1},{py:.1} ");
        let _ = writeln!(
            out,
            "<circle cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"4\" fill=\"#0072b2\"/>\
             <text x=\"{px:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{side}²</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{:.0}</text>",
            HEIGHT - MARGINS[3] + 18.0,
            px - 8.0,
            py - 6.0,
            point.ms,
            side = point.side_px
        );
    }
    let _ = writeln!(
        out,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#0072b2\" stroke-width=\"2\"/>\n\
         <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">pixels (both axes logarithmic; \
         dashed: linear in pixels)</text>\n</svg>",
        path.trim_end(),
        WIDTH / 2.0,
        HEIGHT - 10.0
    );
    out
}

/// A logarithmic axis.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// From the largest power of ten below all values to the smallest above, drawn between two
    /// places.
    fn over(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) = values
            .map(|value| value.max(f64::MIN_POSITIVE).log10())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        let low = low.floor();
        Self { low, high: high.ceil().max(low + 1.0), from, to }
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value.log10() - self.low) / (self.high - self.low);
        self.from + share * (self.to - self.from)
    }

    /// The powers of ten.
    fn ticks(&self) -> impl Iterator<Item = f64> {
        (self.low as i32..=self.high as i32).map(|power| 10_f64.powi(power))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_on_the_dashed_line_where_cost_is_linear() {
        let points =
            [128, 256, 512].map(|side_px| Point { side_px, ms: (side_px * side_px) as f64 });
        let drawn = svg(&points, "score");
        let places: Vec<&str> = drawn
            .split("points=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .split(' ')
            .collect();
        let dashed = drawn.lines().find(|line| line.contains("dasharray")).unwrap();
        for (name, place) in [("1", places[0]), ("2", places[2])] {
            let (x, y) = place.split_once(',').unwrap();
            assert!(
                dashed.contains(&format!("x{name}=\"{x}\" y{name}=\"{y}\"")),
                "{dashed} {place}"
            );
        }
    }

    #[test]
    fn one_point_is_enough() {
        let drawn = svg(&[Point { side_px: 64, ms: 0.0 }], "score");
        assert!(drawn.contains("64²") && !drawn.contains("NaN"), "{drawn}");
    }
}
