//! Directories of arrays, good and bad.

use std::fs::File;

use tempfile::TempDir;

use super::*;

#[test]
fn inputs_come_in_name_order() {
    let directory = TempDir::new().unwrap();
    for (name, value) in [("c", 3), ("a", 1), ("b", 2), ("a10", 4)] {
        save(&directory, &format!("{name}.npy"), vec![1], Values::I32(vec![value]));
    }
    File::create(directory.path().join("notes.txt")).unwrap();
    File::create(directory.path().join("._a.npy")).unwrap();
    let files = list(directory.path()).unwrap();
    let inputs = Inputs::read(&files, 1000).unwrap();
    let values: Vec<Values> = inputs.arrays().iter().map(|array| array.values().clone()).collect();
    assert!(values == [1, 4, 2, 3].map(|value| Values::I32(vec![value])));
}

#[test]
fn too_few_files_are_refused() {
    let directory = TempDir::new().unwrap();
    save(&directory, "a.npy", vec![1], Values::U8(vec![1]));
    save(&directory, "b.npy", vec![1], Values::U8(vec![1]));
    let error = list(directory.path()).unwrap_err().to_string();
    assert!(
        error.ends_with(": 2 .npy files, but at least 3 are needed, one for each node; add the missing ones")
    );
    let error = list(&directory.path().join("gone")).unwrap_err().to_string();
    assert!(error.contains("gone: cannot be read: ") && error.contains("name a directory"), "{error}");
}

#[test]
fn unlike_inputs_are_refused_with_both_kinds() {
    let expected = "float32 of shape (2,), but ";
    let (dtype, shape) = (Values::F32(vec![1.0; 2]), Values::F64(vec![1.0; 4]));
    let error = refusal(vec![2, 2], shape, vec![2], dtype);
    assert!(error.starts_with("b.npy: ") && error.contains(expected), "{error}");
    assert!(error.ends_with("a.npy is float64 of shape (2, 2); make all inputs alike"), "{error}");
    let error = refusal(vec![2], Values::I8(vec![0; 2]), vec![1, 2], Values::I8(vec![0; 2]));
    assert!(error.contains("int8 of shape (1, 2), but "), "{error}");
}

#[test]
fn values_that_are_no_numbers_are_named() {
    let good = Values::F64(vec![0.0; 6]);
    for (index, value, shape, expected) in [
        (5, f64::NAN, vec![6], "b.npy: nan at index 5;"),
        (5, f64::INFINITY, vec![2, 3], "b.npy: inf at index (1, 2);"),
        (3, f64::NEG_INFINITY, vec![3, 1, 2], "b.npy: -inf at index (1, 0, 1);"),
    ] {
        let mut values = vec![0.0; 6];
        values[index] = value;
        let error = refusal(shape.clone(), good.clone(), shape, Values::F64(values));
        assert!(error.starts_with(expected), "{error}");
    }
    let error = refusal(vec![1], Values::F32(vec![0.0]), vec![1], Values::F32(vec![f32::NAN]));
    assert!(error.starts_with("b.npy: nan at index 0;"), "{error}");
}

#[test]
fn empty_and_damaged_arrays_are_refused() {
    let error = refusal(vec![0, 3], Values::F32(vec![]), vec![0, 3], Values::F32(vec![]));
    assert!(error.starts_with("a.npy: it has no elements (shape (0, 3))"), "{error}");
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("x\n.npy");
    fs::write(&path, b"no array").unwrap();
    let error = Inputs::read(&[path], 1000).err().unwrap().to_string();
    assert!(error.contains("x\u{fffd}.npy: it is not a .npy file"), "{error}");
}

#[test]
fn weights_of_every_integer_type_are_read() {
    for values in [
        Values::I8(vec![0, 5, 7]),
        Values::I16(vec![0, 5, 7]),
        Values::I32(vec![0, 5, 7]),
        Values::I64(vec![0, 5, 7]),
        Values::U8(vec![0, 5, 7]),
        Values::U16(vec![0, 5, 7]),
        Values::U32(vec![0, 5, 7]),
        Values::U64(vec![0, 5, 7]),
    ] {
        assert_eq!(weigh(vec![3], values, 3).unwrap(), [0, 5, 7]);
    }
}

#[test]
fn unusable_weights_are_refused() {
    let cases = [
        (weigh(vec![3], Values::F64(vec![1.0; 3]), 3), "float64, but weights are whole numbers"),
        (weigh(vec![3], Values::I8(vec![1; 3]), 4), "shape (3,), but 4 nodes need shape (4,)"),
        (weigh(vec![3, 1], Values::I8(vec![1; 3]), 3), "shape (3, 1), but 3 nodes need shape (3,)"),
        (weigh(vec![3], Values::I16(vec![1, -4, 1]), 3), "negative weight -4 at index 1"),
        (weigh(vec![3], Values::U16(vec![0; 3]), 3), "all weights are 0"),
    ];
    for (result, expected) in cases {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn extents_are_the_largest_absolute_values() {
    assert_eq!(Extent::of(&Values::F32(vec![1.0, -2.5])), Extent::Float(2.5));
    assert_eq!(Extent::of(&Values::F64(vec![])), Extent::Float(0.0));
    assert_eq!(Extent::of(&Values::I8(vec![-128, 127])), Extent::Integer(128));
    assert_eq!(Extent::of(&Values::I64(vec![i64::MIN, 0])), Extent::Integer(1 << 63));
    assert_eq!(Extent::of(&Values::U64(vec![3, u64::MAX])), Extent::Integer(u64::MAX));
    assert_eq!(Extent::Integer(3).max(Extent::Integer(7)), Extent::Integer(7));
    assert_eq!(Extent::Float(3.0).max(Extent::Float(0.5)), Extent::Float(3.0));
}

fn refusal(first_shape: Vec<u64>, first: Values, second_shape: Vec<u64>, second: Values) -> String {
    let directory = TempDir::new().unwrap();
    save(&directory, "a.npy", first_shape, first);
    save(&directory, "b.npy", second_shape, second);
    let files = ["a.npy", "b.npy"].map(|name| directory.path().join(name));
    let error = Inputs::read(&files, 1000).err().expect("refused").to_string();
    assert!(!error.contains('\n'));
    error.trim_start_matches(&*directory.path().to_string_lossy()).trim_start_matches('/').to_owned()
}

fn weigh(shape: Vec<u64>, values: Values, nodes: usize) -> Result<Vec<u64>, InputError> {
    let directory = TempDir::new().unwrap();
    save(&directory, "w.npy", shape, values);
    weights(&directory.path().join("w.npy"), nodes)
}

fn save(directory: &TempDir, name: &str, shape: Vec<u64>, values: Values) {
    let file = File::create(directory.path().join(name)).unwrap();
    npy::write(&Array::new(shape, values).unwrap(), file).unwrap();
}
