//! `.npy` files written and read from numpy's description of the format, by none of the code under test.

use std::{fs, path::Path};

/// What a file says of itself, and its elements.
pub(crate) struct Npy {
    pub(crate) descr: &'static str,
    pub(crate) fortran_order: bool,
    pub(crate) shape: &'static str,
    pub(crate) data: Vec<u8>,
}

impl Npy {
    /// Elements in C order, little-endian as their `descr` should say.
    pub(crate) fn new<const SIZE: usize>(
        descr: &'static str,
        shape: &'static str,
        elements: impl IntoIterator<Item = [u8; SIZE]>,
    ) -> Self {
        Self { descr, fortran_order: false, shape, data: elements.into_iter().flatten().collect() }
    }

    pub(crate) fn save(&self, path: &Path) {
        fs::write(path, self.bytes(1)).unwrap();
    }

    /// The whole file, in version 1 or 2 of the format.
    pub(crate) fn bytes(&self, version: u8) -> Vec<u8> {
        let Self { descr, fortran_order, shape, data } = self;
        let order = if *fortran_order { "True" } else { "False" };
        let mut header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
        let length_bytes = if version == 1 { 2 } else { 4 };
        while (8 + length_bytes + header.len() + 1) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let length = (header.len() as u32).to_le_bytes();
        [b"\x93NUMPY", &[version, 0][..], &length[..length_bytes], header.as_bytes(), data].concat()
    }
}

/// The elements of a file that must be of this dtype and shape.
pub(crate) fn load(path: &Path, descr: &str, shape: &str) -> Vec<[u8; 8]> {
    let bytes = fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..end]).unwrap();
    let expected = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    assert_eq!(header.trim_end(), expected);
    let size: usize = descr[2..].parse().unwrap();
    let widen = |element: &[u8]| {
        let mut wide = [0; 8];
        wide[..size].copy_from_slice(element);
        wide
    };
    bytes[end..].chunks(size).map(widen).collect()
}
