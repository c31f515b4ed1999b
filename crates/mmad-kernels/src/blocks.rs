//! Rows in blocks of 16 values, the longest vector of any processor.
//!
//! A loop over an array of fixed length becomes one vector instruction, or a few. Over slices the
//! compiler has to ask first whether inputs and outputs overlap, and for short rows that costs
//! more than the work.

/// Values per block.
pub(crate) const BLOCK: usize = 16;

/// Neighbouring values of a row.
pub(crate) type Block = [f32; BLOCK];

/// The values from `start` on, filled up with zeros behind the end of the row.
#[inline(always)]
pub(crate) fn load_block(row: &[f32], start: usize) -> Block {
    let values = &row[start..];
    values.first_chunk().map_or_else(|| load_rest(values), |block| *block)
}

/// Overwrites the values from `start` on; what would lie behind the end of the row is dropped.
#[inline(always)]
pub(crate) fn store_block(row: &mut [f32], start: usize, block: &Block) {
    let values = &mut row[start..];
    if let Some(values) = values.first_chunk_mut() {
        *values = *block;
    } else {
        store_rest(values, block);
    }
}

// The ends of rows stay out of line: inlined, whole blocks would be copied by the same call of
// `memcpy` as they are, instead of one instruction.
#[cold]
#[inline(never)]
fn load_rest(values: &[f32]) -> Block {
    let mut block = [0.0; BLOCK];
    block[..values.len()].copy_from_slice(values);
    block
}

#[cold]
#[inline(never)]
fn store_rest(values: &mut [f32], block: &Block) {
    values.copy_from_slice(&block[..values.len()]);
}

/// A block of `value(i)`.
#[inline(always)]
pub(crate) fn block(value: impl Fn(usize) -> f32) -> Block {
    let mut block = [0.0; BLOCK];
    for (i, entry) in block.iter_mut().enumerate() {
        *entry = value(i);
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_a_row_of_any_length() {
        for len in 0..50_u16 {
            let row: Vec<f32> = (1..=len).map(f32::from).collect();
            let mut copy = vec![0.0; row.len()];
            for start in (0..row.len()).step_by(BLOCK) {
                let loaded = load_block(&row, start);
                assert!(loaded[BLOCK.min(row.len() - start)..].iter().all(|&value| value == 0.0));
                store_block(&mut copy, start, &block(|i| 2.0 * loaded[i]));
            }
            assert!(copy.iter().zip(&row).all(|(copy, value)| *copy == 2.0 * value), "{len}");
        }
    }
}
