//! Two colours of a texture, and the name of their hue.

use crate::drawing::colour::Colour;
use crate::random::Random;

/// The colours between which a texture runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Palette {
    pub(super) low: Colour,
    pub(super) high: Colour,
    /// 0 for grey, else 1 to 8 around the hue circle, red first.
    pub(super) hue: u8,
}

impl Palette {
    /// One colour in light and dark, one colour with grey, or grey alone.
    pub(super) fn new(random: &mut Random) -> Self {
        let contrast = random.range(0.14, 0.75);
        let dark = random.range(0.04, 0.96 - contrast);
        let bright = dark + contrast;
        let grey = |value: f32, random: &mut Random| {
            Colour::from_hue(random.unit(), random.range(0.0, 0.05), value)
        };
        let hue = random.below(9) as u8;
        let (low, high) = if hue == 0 {
            (grey(dark, random), grey(bright, random))
        } else {
            // Within the middle of its eighth, so that the answer is not a coin toss.
            let turn = (f32::from(hue) - 1.0 + random.around(0.36)) / 8.0;
            let coloured = |value: f32, random: &mut Random| {
                Colour::from_hue(turn, random.range(0.3, 0.95), value.max(0.18))
            };
            match random.below(4) {
                0 => (grey(dark, random), coloured(bright, random)),
                1 => (coloured(dark, random), grey(bright, random)),
                _ => (coloured(dark, random), coloured(bright, random)),
            }
        };
        if random.chance(0.5) {
            Self { low, high, hue }
        } else {
            Self { low: high, high: low, hue }
        }
    }

    /// How far apart the middles of two palettes lie, in their most different channel.
    pub(super) fn distance(&self, other: &Self) -> f32 {
        let middle = |palette: &Self| palette.low.mix(palette.high, 0.5);
        (middle(self) + middle(other) * -1.0).largest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hues_are_named_by_their_colours() {
        let mut random = Random::keyed(&[1]);
        for _ in 0..2000 {
            let palette = Palette::new(&mut random);
            let strength = |c: Colour| {
                let most = c.r.max(c.g).max(c.b);
                (most - c.r.min(c.g).min(c.b)) / most.max(1e-6)
            };
            let vivid = strength(palette.low).max(strength(palette.high));
            assert_eq!(palette.hue == 0, vivid < 0.06, "{palette:?}");
            // Red and its neighbours have red as largest channel.
            if palette.hue == 1 {
                let c = palette.low;
                assert!(strength(c) < 0.06 || (c.r >= c.g && c.r >= c.b));
            }
        }
    }
}
