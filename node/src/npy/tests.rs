//! Files written by numpy (`node/tests/data/npy/generate.py`), and arbitrary bytes.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use consort_protocol::array::{Array, Values};
use proptest::prelude::*;

use super::*;

const LIMIT: u64 = 1 << 20;

#[test]
fn reads_every_dtype_in_both_byte_orders() {
    let floats = [0.0, -1.5, 3.25, 1e10, -0.1];
    let ints = |min: i64, max: i64| vec![0, -1, 2, min, max];
    for order in ["little", "big"] {
        let values = |kind: &str| load(&format!("{order}_{kind}")).values().clone();
        assert!(values("f4") == Values::F32(floats.map(|value| value as f32).to_vec()), "{order} f4");
        assert!(values("f8") == Values::F64(floats.to_vec()), "{order} f8");
        assert!(values("i1") == Values::I8(vec![0, -1, 2, i8::MIN, i8::MAX]), "{order} i1");
        assert!(values("i2") == Values::I16(vec![0, -1, 2, i16::MIN, i16::MAX]), "{order} i2");
        assert!(values("i4") == Values::I32(vec![0, -1, 2, i32::MIN, i32::MAX]), "{order} i4");
        assert!(values("i8") == Values::I64(ints(i64::MIN, i64::MAX)), "{order} i8");
        assert!(values("u1") == Values::U8(vec![0, 1, 2, 100, u8::MAX]), "{order} u1");
        assert!(values("u2") == Values::U16(vec![0, 1, 2, 100, u16::MAX]), "{order} u2");
        assert!(values("u4") == Values::U32(vec![0, 1, 2, 100, u32::MAX]), "{order} u4");
        assert!(values("u8") == Values::U64(vec![0, 1, 2, 100, u64::MAX]), "{order} u8");
    }
}

#[test]
fn fortran_order_and_other_versions_are_the_same_array() {
    let expected = Array::new(vec![2, 3, 4], Values::I32((0..24).collect())).unwrap();
    for name in ["c_3d", "fortran_3d", "fortran_3d_big", "version_2", "version_3"] {
        assert!(load(name) == expected, "{name}");
    }
}

#[test]
fn scalars_empty_arrays_and_python_2_headers_are_read() {
    assert!(load("scalar") == Array::new(vec![], Values::I64(vec![42])).unwrap());
    assert!(load("empty") == Array::new(vec![0, 3], Values::F32(vec![])).unwrap());
    assert!(load("fortran_empty") == Array::new(vec![0, 3], Values::F32(vec![])).unwrap());
    assert!(load("python_2") == Array::new(vec![2], Values::I16(vec![7, -8])).unwrap());
}

#[test]
fn nan_and_infinities_pass() {
    let array = load("nonfinite");
    let Values::F64(values) = array.values() else { panic!("not f64") };
    assert!(values[1].is_nan() && values[2] == f64::INFINITY && values[3] == f64::NEG_INFINITY);
}

#[test]
fn writes_what_numpy_writes() {
    for name in ["little_f4", "little_f8", "little_i1", "little_i2", "little_i4", "little_i8", "little_u1"]
        .into_iter()
        .chain(["little_u2", "little_u4", "little_u8", "c_3d", "scalar", "empty", "nonfinite"])
    {
        let mut written = Vec::new();
        write(&load(name), &mut written).unwrap();
        assert!(written == fs::read(fixture(name)).unwrap(), "{name}");
    }
}

#[test]
fn refuses_in_words() {
    let cases = [
        ("object", "its elements are pickled Python objects (dtype '|O'); save a plain numeric array"),
        ("bool", "its elements are booleans (dtype '|b1'); save a.astype(numpy.uint8)"),
        ("complex", "its elements are complex numbers (dtype '<c16'); save a.real and a.imag"),
        ("half", "its elements are half-precision floats (dtype '<f2'); save a.astype(numpy.float32)"),
        (
            "longdouble",
            "its elements are extended-precision floats (dtype '<f16'); save a.astype(numpy.float64)",
        ),
        ("text", "its elements are text (dtype '<U2'); save numbers"),
        ("bytes", "its elements are text (dtype '|S2'); save numbers"),
        ("date", "its elements are dates or durations (dtype '<M8[D]'); save a.astype(numpy.int64)"),
        ("void", "its elements are raw bytes or records (dtype '|V8'); save a plain numeric array"),
        ("structured", "its elements are records of named fields (a structured dtype); save each field"),
        ("truncated", "it is truncated: 145 bytes, but its header announces 148; copy or write it again"),
        ("truncated_header", "it is truncated: 40 bytes, but its header announces 128; copy"),
        ("truncated_magic", "it is truncated: 4 bytes, but its header announces 8; copy"),
        ("trailing", "150 bytes, but its header announces 148: something follows the array"),
        ("version", ".npy version 4.0 is unknown, only 1.0, 2.0 and 3.0 are"),
        ("zero_bytes", "it is empty (0 bytes)"),
        ("foreign", "it is not a .npy file"),
        ("zip", "it is a zip archive, as numpy.savez writes; save each array in a .npy of its own"),
        ("header_length", "its header of 4294967295 bytes is longer than the 65536"),
        ("shape_overflow", "its shape (4294967296, 4294967296) has more elements than memory can hold"),
        ("shape_huge", "its 8000000000000 bytes of elements are over the limit of 1048576"),
        ("shape_long", "its shape (99999999999999999999999, ...) has more elements than memory can hold"),
        ("shape_negative", "its header is damaged: 'shape' is not a tuple of whole numbers"),
        ("no_shape", "its header is damaged: key 'shape' is missing"),
        ("python", "its header is damaged: '(' expected"),
        ("nesting", "its elements are records of named fields"),
    ];
    for (name, expected) in cases {
        let error = refusal(read_file(&fixture(&format!("bad_{name}")), LIMIT));
        assert!(error.starts_with(expected), "{name}: {error}");
        assert!(!error.contains('\n') && error.len() < 200, "{name}: {error}");
    }
    let fixtures = fs::read_dir(fixture("c_3d").parent().unwrap()).unwrap();
    let bad =
        fixtures.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("bad_"));
    assert_eq!(bad.count(), cases.len());
}

#[test]
fn a_huge_shape_takes_no_memory_before_the_data_came() {
    let bytes = fs::read(fixture("bad_shape_huge")).unwrap();
    let expected = bytes.len() as u64 - 8 + 8_000_000_000_000;
    let error = refusal(read(&bytes[..], None, u64::MAX));
    assert!(
        error.contains(&format!("{} bytes, but its header announces {expected}", bytes.len())),
        "{error}"
    );
    let error = refusal(read(&bytes[..], Some(bytes.len() as u64), u64::MAX));
    assert!(error.contains(&format!("header announces {expected}")), "{error}");
}

#[test]
fn streams_of_unknown_length_end_where_the_array_does() {
    let bytes = fs::read(fixture("little_f4")).unwrap();
    assert!(read(&bytes[..], None, LIMIT).is_ok());
    assert!(read(Dribble(&bytes, false), None, LIMIT).is_ok());
    assert!(refusal(read(&bytes[..147], None, LIMIT)).contains("147 bytes, but its header announces 148"));
    let longer = [&bytes[..], b"x"].concat();
    assert!(refusal(read(&longer[..], None, LIMIT)).contains("more follows after the 148 bytes"));
}

#[test]
fn the_limit_is_of_the_elements() {
    let path = fixture("little_f4");
    assert!(read_file(&path, 20).is_ok());
    assert!(matches!(read_file(&path, 19), Err(NpyError::TooLarge { found: 20, limit: 19 })));
}

#[test]
fn foreign_text_is_quoted_on_one_line() {
    let text = format!("{{'descr': '<\n\x1b{}', 'fortran_order': False, 'shape': (1,)}}", "z".repeat(100));
    let error = refusal(read(&raw(text.as_bytes(), &[])[..], None, LIMIT));
    assert!(error.contains(r"'<\n\x1bzzzzzzzzzzzzzzzzzzzzz...'") && !error.contains('\n'), "{error}");
}

#[test]
fn repeated_keys_and_text_after_the_dictionary_are_refused() {
    for (text, expected) in [
        ("{'shape': (1,), 'shape': (2,)}", "key 'shape' appears twice"),
        ("{'shape': (1,)} {", "something follows the dictionary"),
        ("{'shape' (1,)}", "':' expected"),
        ("{'shape: (1,)}", "a string has no end"),
        ("{'nope': 1}", "unknown key 'nope'"),
        ("{'fortran_order': 1}", "neither True nor False"),
        ("", "'{' expected"),
    ] {
        let error = refusal(read(&raw(text.as_bytes(), &[])[..], None, LIMIT));
        assert!(error.contains(expected), "{text}: {error}");
    }
    let sides = "1, ".repeat(65);
    let error = refusal(read(&raw(format!("{{'shape': ({sides})}}").as_bytes(), &[])[..], None, LIMIT));
    assert!(error.contains("more than 64 sides"), "{error}");
}

#[test]
fn directories_and_missing_files_are_named_as_such() {
    assert!(matches!(read_file(Path::new(env!("CARGO_MANIFEST_DIR")), LIMIT), Err(NpyError::Directory)));
    assert!(matches!(read_file(Path::new("/nonexistent.npy"), LIMIT), Err(NpyError::Io(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes[..], None, LIMIT);
        let _ = read(&raw(&bytes, &bytes)[..], None, LIMIT);
    }

    #[test]
    fn arbitrary_headers_never_panic(
        tokens in prop::collection::vec(
            prop::sample::select(vec![
                "{", "}", "(", ")", "'descr'", ":", "'<f4'", "'>u8'", ",", "'shape'", "3", "0", "18446744073709551615",
                "'fortran_order'", "True", "False", "\"", " ", "L", "[", "-",
            ]),
            0..24,
        ),
        body in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let _ = read(&raw(tokens.concat().as_bytes(), &body)[..], None, LIMIT);
    }

    #[test]
    fn any_array_survives_the_round_trip(
        shape in prop::collection::vec(0u64..6, 0..5), bits in any::<u64>(), wide in any::<bool>(),
    ) {
        let count: u64 = shape.iter().product();
        let words = (0..count).map(|index| bits.wrapping_mul(index + 1));
        let values = match wide {
            true => Values::U64(words.collect()),
            false => Values::I16(words.map(|word| word as i16).collect()),
        };
        let array = Array::new(shape, values).unwrap();
        let mut written = Vec::new();
        write(&array, &mut written).unwrap();
        prop_assert!(read(&written[..], Some(written.len() as u64), LIMIT).unwrap() == array);
    }

    #[test]
    fn fortran_order_agrees_with_the_definition(shape in prop::collection::vec(1u64..5, 1..5)) {
        let count: u64 = shape.iter().product();
        let body: Vec<u8> = (0..count).flat_map(|value| (value as u32).to_le_bytes()).collect();
        let sides: String = shape.iter().map(|side| format!("{side},")).collect();
        let text = format!("{{'descr': '<u4', 'fortran_order': True, 'shape': ({sides})}}");
        let array = read(&raw(text.as_bytes(), &body)[..], None, LIMIT).unwrap();
        let Values::U32(values) = array.values() else { panic!("not u32") };
        for (flat, &value) in values.iter().enumerate() {
            let (mut rest, mut scale, mut expected) = (flat as u64, count, 0);
            for &side in shape.iter().rev() {
                scale /= side;
                expected += rest % side * scale;
                rest /= side;
            }
            prop_assert_eq!(u64::from(value), expected);
        }
    }
}

/// Gives one byte at a time, with an interruption before each.
struct Dribble<'a>(&'a [u8], bool);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let end = buffer.len().min(1);
        self.0.read(&mut buffer[..end])
    }
}

fn raw(text: &[u8], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x02\x00", &length[..], text, body].concat()
}

fn load(name: &str) -> Array {
    read_file(&fixture(name), LIMIT).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/npy").join(format!("{name}.npy"))
}

fn refusal(result: Result<Array, NpyError>) -> String {
    result.err().expect("refused").to_string()
}
