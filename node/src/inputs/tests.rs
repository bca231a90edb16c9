use std::{io::Write as _, os::unix::fs::PermissionsExt as _, sync::Arc};

use consort_protocol::array::{Array, Values};

use super::{desk::*, *};
use crate::{node::Reduce, npy};

fn parameters() -> Parameters {
    Parameters {
        reduce: Reduce::WeightedMean(7),
        label: Some("ward".into()),
        query: [3; 32],
        clip: Some(2.5),
    }
}

fn arrays() -> Vec<Array> {
    vec![
        Array::new(vec![3], Values::I64(vec![1, -2, 3])).unwrap(),
        Array::new(vec![], Values::F32(vec![0.5])).unwrap(),
    ]
}

fn body(arrays: &[Array]) -> Vec<u8> {
    let mut bytes = Vec::new();
    arrays.iter().for_each(|array| npy::write(array, &mut bytes).unwrap());
    bytes
}

fn keep(store: &Store) -> Kept {
    let mut draft = store.begin(&parameters()).unwrap();
    // pieces come as they like
    body(&arrays()).chunks(7).for_each(|piece| draft.write(piece).unwrap());
    let (draft, read, values) = draft.finish().expect("an input");
    assert!(read == parameters() && values == arrays());
    store.keep(draft, InputId::random().unwrap()).unwrap()
}

fn store(folder: &tempfile::TempDir) -> Store {
    Store::open(folder.path().join("inputs")).unwrap()
}

fn names(folder: &tempfile::TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path().join("inputs")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn an_input_that_waits_outlives_the_process_and_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let kept = keep(&store(&folder));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&kept.path()), mode(&folder.path().join("inputs"))), (0o600, 0o700));
    let found = store(&folder).found().unwrap();
    let [Found::Waiting(again)] = found.as_slice() else { panic!("it waits") };
    assert_eq!(again.id().to_string(), kept.id().to_string());
    let (parameters_again, arrays_again) = read(&mut File::open(again.path()).unwrap()).ok().unwrap();
    assert!(parameters_again == parameters() && arrays_again == arrays());
}

#[test]
fn an_input_that_may_have_left_is_never_taken_for_one_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    let mut kept = keep(&store(&folder));
    kept.mark_sent(5).unwrap();
    kept.mark_sent(5).unwrap();
    assert_eq!(names(&folder), [format!("{}.round-5", kept.id())]);
    let found = store(&folder).found().unwrap();
    assert!(matches!(found.as_slice(), [Found::Sent(id, 5)] if *id == kept.id()));
}

#[test]
fn what_is_over_leaves_no_data_and_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Arc::new(Desk::open(store(&folder)).unwrap());
    let id = keep(desk.store()).id();
    desk.take().ok().unwrap().give(id);
    assert_eq!((desk.waiting(), desk.look_up(id)), (Some(id), Some(Known::Waiting)));
    desk.end(id, Ended::aggregated(9, true));
    assert_eq!(names(&folder), [format!("{id}.outcome")]);
    assert!(store(&folder).found().unwrap().is_empty());
    let again = Desk::open(store(&folder)).unwrap();
    assert_eq!(again.look_up(id), Some(Known::Ended(Ended::aggregated(9, true))));
    assert!(again.waiting().is_none());
}

#[test]
fn data_that_a_crash_left_beside_an_outcome_is_removed_and_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let kept = keep(&store(&folder));
    let copy = fs::read(kept.path()).unwrap();
    store(&folder).end(kept.id(), &Ended::failed(Some(1), "void")).unwrap();
    fs::write(kept.path(), copy).unwrap();
    assert!(store(&folder).found().unwrap().is_empty());
    Desk::open(store(&folder)).unwrap();
    assert_eq!(names(&folder), [format!("{}.outcome", kept.id())]);
}

#[test]
fn one_waits_at_a_time_and_a_place_that_is_not_used_is_free_again() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Arc::new(Desk::open(store(&folder)).unwrap());
    let seat = desk.take().ok().unwrap();
    assert!(matches!(desk.take(), Err(None)));
    drop(seat);
    let id = InputId::random().unwrap();
    desk.take().ok().unwrap().give(id);
    assert!(matches!(desk.take(), Err(Some(waiting)) if waiting == id));
    desk.end(id, Ended::failed(None, "withdrawn"));
    assert!(desk.take().is_ok());
}

#[test]
fn only_the_last_outcomes_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::open(store(&folder)).unwrap();
    let ids: Vec<InputId> = (0..OUTCOMES_KEPT + 3).map(|_| InputId::random().unwrap()).collect();
    ids.iter().for_each(|id| desk.end(*id, Ended::failed(None, "no")));
    assert_eq!(names(&folder).len(), OUTCOMES_KEPT);
    assert!(desk.look_up(ids[0]).is_none() && desk.look_up(ids[3]).is_some());
}

#[test]
fn a_torn_or_edited_file_is_noticed_wherever_it_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let kept = keep(&store(&folder));
    let whole = fs::read(kept.path()).unwrap();
    let path = folder.path().join("damaged");
    let damaged = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        read(&mut File::open(&path).unwrap()).is_err()
    };
    assert!(!damaged(&whole));
    for length in 0..whole.len() {
        assert!(damaged(&whole[..length]), "cut to {length}");
    }
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x20;
        assert!(damaged(&bytes), "byte {place}");
    }
}

#[test]
fn what_was_received_in_part_vanishes() {
    let folder = tempfile::tempdir().unwrap();
    let store_before = store(&folder);
    let mut draft = store_before.begin(&parameters()).unwrap();
    draft.write(b"\x93NUMPY").unwrap();
    assert_eq!(names(&folder).len(), 1);
    drop(draft);
    assert!(names(&folder).is_empty());
    // a killed process drops nothing
    let mut left = File::create(folder.path().join("inputs").join(".tmpXYZ.part")).unwrap();
    left.write_all(b"half").unwrap();
    store(&folder);
    assert!(names(&folder).is_empty());
}

#[test]
fn what_follows_an_array_has_to_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let mut draft = store.begin(&parameters()).unwrap();
    draft.write(&body(&arrays())).unwrap();
    draft.write(b"and more").unwrap();
    let error = draft.finish().err().unwrap().to_string();
    assert!(error.starts_with("array 3 of the body: it is not a .npy file"), "{error}");
    assert!(names(&folder).is_empty());
}

#[test]
fn an_input_that_was_proved_unused_waits_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut kept = keep(&store(&folder));
    kept.mark_unused().unwrap();
    kept.mark_sent(7).unwrap();
    assert!(matches!(store(&folder).found().unwrap()[..], [Found::Sent(_, 7)]));
    kept.mark_unused().unwrap();
    assert!(matches!(store(&folder).found().unwrap()[..], [Found::Waiting(_)]));
    kept.mark_sent(9).unwrap();
    assert!(matches!(store(&folder).found().unwrap()[..], [Found::Sent(_, 9)]));
}
