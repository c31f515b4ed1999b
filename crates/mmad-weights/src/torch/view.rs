//! From raw blocks and strided views to tensors in row-major order.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::TorchError;
use crate::element::ByteOrder;
use crate::pickle::TensorView;
use crate::{HostTensor, StateDict};

/// Raw elements by storage key.
pub(super) type Blocks<'a> = BTreeMap<Rc<str>, Cow<'a, [u8]>>;

/// Reads every view out of its block.
///
/// Views may overlap or repeat elements, so a few bytes can ask for any amount of memory. All
/// tensors together may have four elements for each byte of the file, which no honest file needs.
pub(super) fn assemble(
    views: BTreeMap<String, TensorView>,
    blocks: &Blocks<'_>,
    order: ByteOrder,
    n_file_bytes: usize,
) -> Result<StateDict, TorchError> {
    let mut n_elements_left = n_file_bytes.saturating_mul(4).saturating_add(1 << 16);
    let mut tensors = StateDict::new();
    for (name, view) in views {
        let n_elements = n_elements(&view).filter(|&n| n <= n_elements_left).ok_or_else(|| {
            TorchError::TooManyElements { tensor: name.clone(), shape: view.shape.clone() }
        })?;
        n_elements_left -= n_elements;
        let tensor = read_view(&name, &view, n_elements, blocks, order)?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

fn read_view(
    name: &str,
    view: &TensorView,
    n_elements: usize,
    blocks: &Blocks<'_>,
    order: ByteOrder,
) -> Result<HostTensor, TorchError> {
    let storage = &view.storage;
    let width = storage.element.n_bytes();
    let bytes = if n_elements == 0 {
        Cow::Borrowed(&[][..])
    } else {
        let outside =
            |needs, has| TorchError::OutsideStorage { tensor: name.to_owned(), needs, has };
        let needs = end_of(view).unwrap_or(usize::MAX);
        if needs > storage.n_elements {
            return Err(outside(needs, storage.n_elements));
        }
        let block = blocks.get(&storage.key).map_or(&[][..], |block| block);
        let in_block = block.len() / width;
        let needs = storage.first.saturating_add(storage.n_elements);
        if needs > in_block {
            return Err(outside(needs, in_block));
        }
        gather(view, n_elements, &block[storage.first * width..needs * width])
    };
    // No storage type of these files has elements outside `i64`, and the shape was counted.
    let damaged = |_| TorchError::BadHeader { field: "element type" };
    let values = storage.element.decode(&bytes, order).map_err(damaged)?;
    HostTensor::new(view.shape.clone(), values)
        .map_err(|_| TorchError::BadHeader { field: "tensor shape" })
}

/// The elements of `view` in row-major order; borrowed when they already lie so.
fn gather<'a>(view: &TensorView, n_elements: usize, storage: &'a [u8]) -> Cow<'a, [u8]> {
    let width = view.storage.element.n_bytes();
    if is_contiguous(view) {
        return Cow::Borrowed(&storage[view.offset * width..(view.offset + n_elements) * width]);
    }
    let mut gathered = Vec::with_capacity(n_elements * width);
    let mut index = vec![0; view.shape.len()];
    let mut position = view.offset;
    for _ in 0..n_elements {
        gathered.extend_from_slice(&storage[position * width..(position + 1) * width]);
        // The next index, like an odometer: the last axis turns fastest.
        for axis in (0..index.len()).rev() {
            index[axis] += 1;
            position += view.strides[axis];
            if index[axis] < view.shape[axis] {
                break;
            }
            position -= index[axis] * view.strides[axis];
            index[axis] = 0;
        }
    }
    Cow::Owned(gathered)
}

fn n_elements(view: &TensorView) -> Option<usize> {
    if view.shape.contains(&0) {
        return Some(0);
    }
    view.shape.iter().try_fold(1_usize, |n, &side| n.checked_mul(side))
}

/// One past the last element that a view with at least one element touches.
fn end_of(view: &TensorView) -> Option<usize> {
    view.shape
        .iter()
        .zip(&view.strides)
        .try_fold(view.offset, |end, (&side, &stride)| {
            end.checked_add((side - 1).checked_mul(stride)?)
        })?
        .checked_add(1)
}

fn is_contiguous(view: &TensorView) -> bool {
    let mut expected = 1;
    view.shape.iter().zip(&view.strides).rev().all(|(&side, &stride)| {
        let fits = side == 1 || stride == expected;
        expected *= side;
        fits
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::ElementType;
    use crate::pickle::Storage;

    fn view(offset: usize, shape: &[usize], strides: &[usize], n_elements: usize) -> TensorView {
        let storage = Storage { key: "0".into(), element: ElementType::U8, first: 0, n_elements };
        TensorView { storage, offset, shape: shape.to_vec(), strides: strides.to_vec() }
    }

    fn read(view: TensorView, block: &[u8]) -> Result<Vec<i64>, TorchError> {
        let blocks = Blocks::from([("0".into(), Cow::Borrowed(block))]);
        let views = BTreeMap::from([("t".to_owned(), view)]);
        let mut tensors = assemble(views, &blocks, ByteOrder::Little, block.len())?;
        Ok(tensors.take("t").unwrap().as_i64().unwrap().to_vec())
    }

    #[test]
    fn strides_are_followed() {
        let block: Vec<u8> = (0..12).collect();
        assert_eq!(
            read(view(0, &[3, 4], &[4, 1], 12), &block).unwrap(),
            (0..12).collect::<Vec<_>>()
        );
        assert_eq!(read(view(0, &[4, 2], &[1, 4], 12), &block).unwrap(), [0, 4, 1, 5, 2, 6, 3, 7]);
        assert_eq!(read(view(5, &[2, 3], &[4, 1], 12), &block).unwrap(), [5, 6, 7, 9, 10, 11]);
        assert_eq!(read(view(3, &[2, 2], &[0, 1], 12), &block).unwrap(), [3, 4, 3, 4]);
        assert_eq!(read(view(7, &[], &[], 12), &block).unwrap(), [7]);
        assert_eq!(read(view(11, &[1, 1], &[99, 50], 12), &block).unwrap(), [11]);
        assert_eq!(read(view(99, &[3, 0], &[1, 1], 12), &block).unwrap(), [0_i64; 0]);
    }

    #[test]
    fn views_stay_inside_their_storage_and_the_storage_inside_the_file() {
        let block: Vec<u8> = (0..12).collect();
        for (view, message) in [
            (view(1, &[3, 4], &[4, 1], 12), "needs element 13 of a storage that has 12"),
            (view(0, &[3], &[1], 13), "needs element 13 of a storage that has 12"),
            (view(0, &[2], &[usize::MAX], 12), "needs element"),
            (view(usize::MAX, &[2], &[2], 12), "needs element"),
        ] {
            let error = read(view, &block).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn repeated_elements_cannot_fill_the_memory() {
        let error = read(view(0, &[1 << 20, 1 << 20], &[0, 0], 1), &[1]).unwrap_err();
        assert!(matches!(error, TorchError::TooManyElements { .. }), "{error}");
        let error = read(view(0, &[usize::MAX, 2, 2], &[0, 0, 0], 1), &[1]).unwrap_err();
        assert!(matches!(error, TorchError::TooManyElements { .. }), "{error}");
    }
}
