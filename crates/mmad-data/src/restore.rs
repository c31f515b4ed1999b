//! Bringing a model's map back to the pixels of the picture it came from.

use crate::error::DataError;
use crate::resample::resize_f32;

/// Resizes an anomaly map from the model's size to the picture's.
///
/// The inverse of the stretch in [`Preprocess`](crate::Preprocess): pixel edges lie on pixel edges,
/// with bilinear interpolation between pixel centres and the edge value outside of them. When the
/// picture is smaller than the model's input, the filter widens, so that no value is skipped; a
/// peak gets lower then, which is why scores are taken before.
///
/// # Shapes
///
/// - `map`: `[height, width]` with `(height, width)` in `from`
/// - output: `[height, width]` with `(height, width)` in `to`, from the smallest to the largest
///   value of `map`
///
/// # Errors
///
/// [`DataError::OutOfRange`] when a side is zero or the map does not have `height * width` values.
pub fn restore_map(
    map: &[f32],
    from: (usize, usize),
    to: (usize, usize),
) -> Result<Vec<f32>, DataError> {
    for (name, (height, width)) in [("map size", from), ("picture size", to)] {
        if height == 0 || width == 0 {
            let value = format!("{height}x{width}");
            return Err(DataError::OutOfRange { name, value, range: "at least 1x1" });
        }
    }
    if from.0.checked_mul(from.1) != Some(map.len()) {
        let value = format!("{} for a map of {}x{}", map.len(), from.0, from.1);
        let range = "height times width";
        return Err(DataError::OutOfRange { name: "number of map values", value, range });
    }
    Ok(resize_f32(map, from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_between_centres_are_bilinear_and_edges_hold() {
        // Centres of two pixels at 1/4 and 3/4; of four at 1/8, 3/8, 5/8, 7/8.
        let wide = restore_map(&[0.0, 8.0], (1, 2), (1, 4)).unwrap();
        assert_eq!(wide, [0.0, 2.0, 6.0, 8.0]);
        let tall = restore_map(&[0.0, 8.0], (2, 1), (4, 1)).unwrap();
        assert_eq!(tall, wide);
    }

    /// A peak in a map that is not square comes back where it was, in proportion.
    #[test]
    fn a_peak_stays_in_its_place() {
        let (from, to) = ((8, 16), (80, 48));
        let mut map = vec![0.0; 8 * 16];
        map[2 * 16 + 13] = 1.0;
        let restored = restore_map(&map, from, to).unwrap();
        let peak =
            (0..restored.len()).max_by(|&a, &b| restored[a].total_cmp(&restored[b])).unwrap();
        let (y, x) = (peak / 48, peak % 48);
        assert!((20..30).contains(&y) && (39..42).contains(&x), "{y} {x}");
    }

    #[test]
    fn a_map_of_the_wrong_length_is_refused() {
        assert!(restore_map(&[0.0; 5], (2, 3), (4, 4)).is_err());
        assert!(restore_map(&[], (0, 3), (4, 4)).is_err());
        assert!(restore_map(&[0.0; 6], (2, 3), (0, 4)).is_err());
    }
}
