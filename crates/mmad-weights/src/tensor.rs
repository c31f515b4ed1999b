//! One tensor in host memory.

use crate::Error;

/// The elements of a [`HostTensor`], row-major.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Floating point elements. Files with 16-bit or 64-bit floats are converted when read.
    Float(Vec<f32>),
    /// Integers and booleans (0 or 1): scan tables, batch counters.
    Int(Vec<i64>),
}

impl Values {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Float(values) => values.len(),
            Self::Int(values) => values.len(),
        }
    }

    /// True when there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A shape and as many values as it promises.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    shape: Vec<usize>,
    values: Values,
}

impl HostTensor {
    /// A tensor of `shape` with `values` in row-major order; a scalar has the empty shape.
    ///
    /// # Errors
    ///
    /// [`Error::ValueCount`] when the shape asks for another number of values.
    pub fn new(shape: Vec<usize>, values: Values) -> Result<Self, Error> {
        let n_values = values.len();
        if shape.iter().try_fold(1_usize, |n, &side| n.checked_mul(side)) != Some(n_values) {
            return Err(Error::ValueCount { shape, n_values });
        }
        Ok(Self { shape, values })
    }

    /// A tensor of floats, see [`HostTensor::new`].
    ///
    /// # Errors
    ///
    /// [`Error::ValueCount`] when the shape asks for another number of values.
    pub fn from_f32(shape: Vec<usize>, values: Vec<f32>) -> Result<Self, Error> {
        Self::new(shape, Values::Float(values))
    }

    /// A tensor of integers, see [`HostTensor::new`].
    ///
    /// # Errors
    ///
    /// [`Error::ValueCount`] when the shape asks for another number of values.
    pub fn from_i64(shape: Vec<usize>, values: Vec<i64>) -> Result<Self, Error> {
        Self::new(shape, Values::Int(values))
    }

    /// Length of every axis, slowest first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements, row-major.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Number of elements.
    pub fn n_elements(&self) -> usize {
        self.values.len()
    }

    /// The elements of a float tensor, `None` for integers.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.values {
            Values::Float(values) => Some(values),
            Values::Int(_) => None,
        }
    }

    /// The elements of an integer tensor, `None` for floats.
    pub fn as_i64(&self) -> Option<&[i64]> {
        match &self.values {
            Values::Int(values) => Some(values),
            Values::Float(_) => None,
        }
    }

    /// Gives the elements of a float tensor away, `None` for integers.
    pub fn into_f32(self) -> Option<Vec<f32>> {
        match self.values {
            Values::Float(values) => Some(values),
            Values::Int(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_must_match_its_values() {
        assert!(HostTensor::from_f32(vec![2, 3], vec![0.0; 6]).is_ok());
        assert!(HostTensor::from_f32(vec![], vec![1.0]).is_ok(), "a scalar has no axis");
        assert!(HostTensor::from_i64(vec![0, 5], vec![]).is_ok(), "an empty tensor is a tensor");
        let error = HostTensor::from_f32(vec![2, 3], vec![0.0; 5]).unwrap_err();
        assert_eq!(error.to_string(), "a tensor of shape [2, 3] cannot hold 5 values");
        assert!(HostTensor::from_f32(vec![usize::MAX, 2], vec![]).is_err(), "no overflow");
    }

    #[test]
    fn floats_and_integers_stay_apart() {
        let floats = HostTensor::from_f32(vec![1], vec![0.5]).unwrap();
        let ints = HostTensor::from_i64(vec![1], vec![7]).unwrap();
        assert_eq!((floats.as_f32(), floats.as_i64()), (Some(&[0.5][..]), None));
        assert_eq!((ints.as_f32(), ints.as_i64()), (None, Some(&[7][..])));
        assert_eq!((floats.into_f32(), ints.into_f32()), (Some(vec![0.5]), None));
    }
}
