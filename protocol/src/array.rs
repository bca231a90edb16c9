//! Arrays of numbers as users hold them: a shape and typed values in C order.

use serde::{Deserialize, Serialize};

/// Element type of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Dtype {
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
}

impl Dtype {
    /// Whether it is one of the floats.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    /// Whether it has a sign: the floats and the signed integers.
    #[must_use]
    pub fn is_signed(self) -> bool {
        !matches!(self, Self::U8 | Self::U16 | Self::U32 | Self::U64)
    }

    /// Name as users write it: `f32`, `u64`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
        }
    }
}

/// The values of an [`Array`], in C order.
#[derive(Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Values {
    F32(Vec<f32>),
    F64(Vec<f64>),
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    U8(Vec<u8>),
    U16(Vec<u16>),
    U32(Vec<u32>),
    U64(Vec<u64>),
}

/// A dense array. `shape` may be empty (a scalar, one value); the product of the shape is the number
/// of values. Inputs are private: an `Array` has no `Debug`.
#[derive(Clone, PartialEq)]
pub struct Array {
    shape: Vec<u64>,
    values: Values,
}

impl Array {
    /// An array of this shape, or `None` where the product of the shape is not the number of values.
    #[must_use]
    pub fn new(shape: Vec<u64>, values: Values) -> Option<Self> {
        let len = shape.iter().try_fold(1u64, |product, &side| product.checked_mul(side))?;
        (len == values.len() as u64).then_some(Self { shape, values })
    }

    /// Sides of the array; empty for a scalar.
    #[must_use]
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// The values in C order.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Element type.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.values.dtype()
    }
}

/// One expression for float values, one for integer values, whatever the width.
macro_rules! by_kind {
    ($values:expr, floats($f:ident) => $float:expr, integers($i:ident) => $integer:expr) => {
        match $values {
            $crate::array::Values::F32($f) => $float,
            $crate::array::Values::F64($f) => $float,
            $crate::array::Values::I8($i) => $integer,
            $crate::array::Values::I16($i) => $integer,
            $crate::array::Values::I32($i) => $integer,
            $crate::array::Values::I64($i) => $integer,
            $crate::array::Values::U8($i) => $integer,
            $crate::array::Values::U16($i) => $integer,
            $crate::array::Values::U32($i) => $integer,
            $crate::array::Values::U64($i) => $integer,
        }
    };
}
pub(crate) use by_kind;

impl Values {
    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        by_kind!(self, floats(v) => v.len(), integers(v) => v.len())
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element type.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        match self {
            Values::F32(_) => Dtype::F32,
            Values::F64(_) => Dtype::F64,
            Values::I8(_) => Dtype::I8,
            Values::I16(_) => Dtype::I16,
            Values::I32(_) => Dtype::I32,
            Values::I64(_) => Dtype::I64,
            Values::U8(_) => Dtype::U8,
            Values::U16(_) => Dtype::U16,
            Values::U32(_) => Dtype::U32,
            Values::U64(_) => Dtype::U64,
        }
    }
}
