//! Element types of weight files, and their conversion to `f32` and `i64`.

use half::{bf16, f16};

use crate::Values;

/// Type of one stored element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ElementType {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    Bool,
}

/// Order of the bytes within one element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ByteOrder {
    Little,
    Big,
}

impl ElementType {
    /// Size of one element in bytes.
    pub(crate) fn n_bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Converts elements. Floats become the nearest `f32`, integers `i64`. Bytes that do not make
    /// up a whole element at the end are ignored; callers pass whole elements.
    ///
    /// # Errors
    ///
    /// The unsigned number that is too large for an `i64`.
    pub(crate) fn decode(self, bytes: &[u8], order: ByteOrder) -> Result<Values, u64> {
        Ok(match self {
            Self::F64 => floats(
                bytes,
                order,
                |b| f64::from_le_bytes(b) as f32,
                |b| f64::from_be_bytes(b) as f32,
            ),
            Self::F32 => floats(bytes, order, f32::from_le_bytes, f32::from_be_bytes),
            Self::F16 => floats(
                bytes,
                order,
                |b| f16::from_le_bytes(b).to_f32(),
                |b| f16::from_be_bytes(b).to_f32(),
            ),
            Self::Bf16 => floats(
                bytes,
                order,
                |b| bf16::from_le_bytes(b).to_f32(),
                |b| bf16::from_be_bytes(b).to_f32(),
            ),
            Self::I64 => ints(bytes, order, i64::from_le_bytes, i64::from_be_bytes),
            Self::I32 => ints(
                bytes,
                order,
                |b| i32::from_le_bytes(b).into(),
                |b| i32::from_be_bytes(b).into(),
            ),
            Self::I16 => ints(
                bytes,
                order,
                |b| i16::from_le_bytes(b).into(),
                |b| i16::from_be_bytes(b).into(),
            ),
            Self::I8 => Values::Int(bytes.iter().map(|&b| i64::from(b.cast_signed())).collect()),
            Self::U64 => {
                let values = each(bytes, order, u64::from_le_bytes, u64::from_be_bytes);
                let signed = |value: u64| i64::try_from(value).map_err(|_| value);
                Values::Int(values.into_iter().map(signed).collect::<Result<_, _>>()?)
            }
            Self::U32 => ints(
                bytes,
                order,
                |b| u32::from_le_bytes(b).into(),
                |b| u32::from_be_bytes(b).into(),
            ),
            Self::U16 => ints(
                bytes,
                order,
                |b| u16::from_le_bytes(b).into(),
                |b| u16::from_be_bytes(b).into(),
            ),
            Self::U8 => Values::Int(bytes.iter().map(|&b| i64::from(b)).collect()),
            Self::Bool => Values::Int(bytes.iter().map(|&b| i64::from(b != 0)).collect()),
        })
    }
}

fn floats<const N: usize>(
    bytes: &[u8],
    order: ByteOrder,
    little: fn([u8; N]) -> f32,
    big: fn([u8; N]) -> f32,
) -> Values {
    Values::Float(each(bytes, order, little, big))
}

fn ints<const N: usize>(
    bytes: &[u8],
    order: ByteOrder,
    little: fn([u8; N]) -> i64,
    big: fn([u8; N]) -> i64,
) -> Values {
    Values::Int(each(bytes, order, little, big))
}

fn each<const N: usize, T>(
    bytes: &[u8],
    order: ByteOrder,
    little: fn([u8; N]) -> T,
    big: fn([u8; N]) -> T,
) -> Vec<T> {
    let convert = if order == ByteOrder::Little { little } else { big };
    let (elements, _) = bytes.as_chunks::<N>();
    elements.iter().map(|&element| convert(element)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(element: ElementType, little: &[u8], expected: &Values) {
        assert_eq!(&element.decode(little, ByteOrder::Little).unwrap(), expected, "{element:?}");
        let big: Vec<u8> =
            little.chunks(element.n_bytes()).flat_map(|b| b.iter().rev().copied()).collect();
        assert_eq!(&element.decode(&big, ByteOrder::Big).unwrap(), expected, "{element:?} big");
    }

    #[test]
    fn every_type_in_both_byte_orders() {
        let floats = Values::Float(vec![1.5, -0.25]);
        let le = |values: [f64; 2]| values.map(f64::to_le_bytes).concat();
        check(ElementType::F64, &le([1.5, -0.25]), &floats);
        check(ElementType::F32, &[1.5_f32, -0.25].map(f32::to_le_bytes).concat(), &floats);
        let halves = [1.5, -0.25].map(|v| f16::from_f32(v).to_le_bytes()).concat();
        check(ElementType::F16, &halves, &floats);
        let brains = [1.5, -0.25].map(|v| bf16::from_f32(v).to_le_bytes()).concat();
        check(ElementType::Bf16, &brains, &floats);

        let ints = Values::Int(vec![-2, 3]);
        check(ElementType::I64, &[-2_i64, 3].map(i64::to_le_bytes).concat(), &ints);
        check(ElementType::I32, &[-2_i32, 3].map(i32::to_le_bytes).concat(), &ints);
        check(ElementType::I16, &[-2_i16, 3].map(i16::to_le_bytes).concat(), &ints);
        check(ElementType::I8, &[0xfe, 3], &ints);

        let unsigned = Values::Int(vec![200, 3]);
        check(ElementType::U64, &[200_u64, 3].map(u64::to_le_bytes).concat(), &unsigned);
        check(ElementType::U32, &[200_u32, 3].map(u32::to_le_bytes).concat(), &unsigned);
        check(ElementType::U16, &[200_u16, 3].map(u16::to_le_bytes).concat(), &unsigned);
        check(ElementType::U8, &[200, 3], &unsigned);
        check(ElementType::Bool, &[2, 0], &Values::Int(vec![1, 0]));
    }

    #[test]
    fn numbers_beyond_i64_are_reported() {
        let bytes = [1, u64::MAX].map(u64::to_le_bytes).concat();
        assert_eq!(ElementType::U64.decode(&bytes, ByteOrder::Little), Err(u64::MAX));
    }
}
