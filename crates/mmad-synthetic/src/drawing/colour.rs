//! Colours as three display values, 0 black and 1 white.

use std::ops::{Add, Mul};

/// Red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Colour {
    pub(crate) r: f32,
    pub(crate) g: f32,
    pub(crate) b: f32,
}

impl Colour {
    pub(crate) const WHITE: Self = Self::grey(1.0);

    pub(crate) const fn new(r: f32, g: f32, b: f32) -> Self {
        Self { r, g, b }
    }

    pub(crate) const fn grey(value: f32) -> Self {
        Self::new(value, value, value)
    }

    /// From hue (a turn: 0 red, 1/3 green, 2/3 blue), saturation and value, each in `0.0..=1.0`.
    ///
    /// Source: Smith 1978, "Color gamut transform pairs", in its branch-free form.
    pub(crate) fn from_hue(hue: f32, saturation: f32, value: f32) -> Self {
        let channel = |shift: f32| {
            let k = (shift + hue * 6.0).rem_euclid(6.0);
            value * (1.0 - saturation * k.min(4.0 - k).clamp(0.0, 1.0))
        };
        Self::new(channel(5.0), channel(3.0), channel(1.0))
    }

    /// This colour for `share` 0, `other` for 1.
    #[inline]
    pub(crate) fn mix(self, other: Self, share: f32) -> Self {
        self + (other + self * -1.0) * share
    }

    /// This colour, brighter by the same amount in each channel.
    #[inline]
    pub(crate) fn lifted(self, amount: f32) -> Self {
        Self::new(self.r + amount, self.g + amount, self.b + amount)
    }

    /// Largest absolute channel value.
    #[inline]
    pub(crate) fn largest(self) -> f32 {
        self.r.abs().max(self.g.abs()).max(self.b.abs())
    }
}

impl Add for Colour {
    type Output = Self;
    #[inline]
    fn add(self, other: Self) -> Self {
        Self::new(self.r + other.r, self.g + other.g, self.b + other.b)
    }
}

impl Mul<f32> for Colour {
    type Output = Self;
    #[inline]
    fn mul(self, factor: f32) -> Self {
        Self::new(self.r * factor, self.g * factor, self.b * factor)
    }
}

impl Mul for Colour {
    type Output = Self;
    #[inline]
    fn mul(self, other: Self) -> Self {
        Self::new(self.r * other.r, self.g * other.g, self.b * other.b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hues_hit_the_primaries() {
        let near = |a: Colour, b: Colour| (a + b * -1.0).largest() < 1e-5;
        assert!(near(Colour::from_hue(0.0, 1.0, 1.0), Colour::new(1.0, 0.0, 0.0)));
        assert!(near(Colour::from_hue(1.0 / 3.0, 1.0, 0.5), Colour::new(0.0, 0.5, 0.0)));
        assert!(near(Colour::from_hue(2.0 / 3.0, 0.5, 1.0), Colour::new(0.5, 0.5, 1.0)));
        assert!(near(Colour::from_hue(0.4, 0.0, 0.3), Colour::grey(0.3)));
    }

    #[test]
    fn mix_runs_from_one_end_to_the_other() {
        let (a, b) = (Colour::grey(0.25), Colour::new(1.0, 0.5, 0.0));
        assert_eq!(a.mix(b, 0.0), a);
        assert_eq!(a.mix(b, 1.0), b);
    }
}
