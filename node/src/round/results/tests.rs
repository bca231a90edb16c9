use consort_protocol::encoding::Aggregate;

use super::{super::testing::Round, *};

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Keeps a vector as if it were a sum.
fn keep(results: &Results, round: &Round, root: Digest, bytes: &[u8]) -> Arc<StoredSum> {
    let mut file = results.begin().unwrap();
    io::Write::write_all(&mut file, bytes).unwrap();
    results.keep(root, round.layout.clone(), file).unwrap()
}

#[test]
fn only_recent_sums_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (round, results) = (Round::new(), Results::open(folder.path()).unwrap());
    let extra = 3;
    for number in 0..KEPT + extra {
        keep(&results, &round, [number as u8; 32], b"a sum");
    }
    let kept = |number: usize| results.get(&[number as u8; 32]).is_some();
    assert!((0..extra).all(|number| !kept(number)));
    assert!((extra..KEPT + extra).all(kept));
    assert_eq!(files(folder.path()).len(), KEPT);
}

#[test]
fn the_same_sum_twice_is_one_sum_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (round, results) = (Round::new(), Results::open(folder.path()).unwrap());
    for _ in 0..2 * KEPT {
        keep(&results, &round, [1; 32], b"a sum");
    }
    assert!(results.get(&[1; 32]).is_some());
    assert_eq!(files(folder.path()), [format!("{}.sum", "01".repeat(16))]);
}

#[test]
fn an_old_sum_that_is_gone_does_not_cost_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let (round, results) = (Round::new(), Results::open(folder.path()).unwrap());
    keep(&results, &round, [0; 32], b"a sum");
    fs::remove_file(folder.path().join(format!("{}.sum", "00".repeat(16)))).unwrap();
    for number in 1..=KEPT {
        keep(&results, &round, [number as u8; 32], b"a sum");
    }
    assert!(results.get(&[KEPT as u8; 32]).is_some());
}

#[test]
fn what_an_earlier_process_left_in_part_is_removed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let round = Round::new();
    let earlier = Results::open(folder.path()).unwrap();
    keep(&earlier, &round, [1; 32], b"a sum");
    let unfinished = earlier.begin().unwrap();
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    assert_eq!(files(folder.path()).len(), 3);
    let results = Results::open(folder.path()).unwrap();
    assert_eq!(files(folder.path()), [format!("{}.sum", "01".repeat(16)), "notes.txt".into()]);
    assert!(results.get(&[1; 32]).is_none(), "others ask whoever has it in hand");
    drop(unfinished);
}

#[test]
fn a_sum_of_an_earlier_process_is_there_until_newer_ones_push_it_out() {
    let folder = tempfile::tempdir().unwrap();
    let round = Round::new();
    let chunks: Vec<Vec<u8>> = round.layout.chunks().map(|chunk| vec![0; chunk.packed_len()]).collect();
    let root = round.root(&chunks);
    keep(&Results::open(folder.path()).unwrap(), &round, root, &chunks.concat());
    let results = Results::open(folder.path()).unwrap();
    let again = results.aggregate(&root, &round.terms(), 3).unwrap().expect("it is there");
    let values = consort_protocol::array::Values::I64(vec![0; round.layout.elements() as usize]);
    assert!(*again.leaves[0].values() == values);

    let file = results.path_of(&root);
    let mut damaged = chunks.concat();
    damaged[7] ^= 1;
    fs::write(&file, damaged).unwrap();
    let error = results.aggregate(&root, &round.terms(), 3).err().unwrap().to_string();
    assert!(error.contains("damaged"), "{error}");

    for number in 0..KEPT {
        keep(&results, &round, [number as u8; 32], b"a sum");
    }
    assert!(!file.exists());
    assert!(results.aggregate(&root, &round.terms(), 3).unwrap().is_none());
}

fn decoded(bytes: &[u8], survivors: usize) -> io::Result<Aggregate> {
    let folder = tempfile::tempdir().unwrap();
    let (round, results) = (Round::new(), Results::open(folder.path()).unwrap());
    keep(&results, &round, [1; 32], bytes).decode(&round.terms(), survivors)
}

#[test]
fn a_sum_that_cannot_be_is_an_alarm_and_no_panic() {
    let length = Round::new().layout.packed_len() as usize;
    assert!(decoded(&vec![0; length], 3).is_ok());
    // the most negative number of the ring is beyond what any survivors can add up to
    let mut beyond = vec![0; length];
    let bits = usize::from(Round::new().layout.segments()[0].bits);
    beyond[(bits - 1) / 8] = 1 << ((bits - 1) % 8);
    assert!(decoded(&beyond, 3).err().unwrap().to_string().contains("index 0"));
    assert!(decoded(&vec![0; length], 0).is_err());
    assert!(decoded(&vec![0; length], 6).is_err(), "more survivors than members");
    assert!(decoded(&vec![0; length - 1], 3).is_err(), "the file was cut");
}
