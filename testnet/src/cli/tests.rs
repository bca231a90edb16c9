//! Command lines, good and bad.

use std::{collections::BTreeSet, fs, time::Duration};

use tempfile::TempDir;

use super::*;
use consort_protocol::phase::Phase;

#[test]
fn no_arguments_are_the_demonstration() {
    let expected = Run {
        nodes: 8,
        rounds: 6,
        seed: 1,
        workload: Workload::Digits,
        corrupt: None,
        out: None,
        faults: vec![],
        lies: vec![],
        transport: Transport::Tcp,
        keep: None,
        report: None,
        json: false,
        demonstration: true,
        soak: false,
    };
    assert_eq!(run(""), expected);
    assert_eq!(run("run"), expected);
    assert!(run("--seed 7 --json --transport quic").demonstration);
    let faults = ["--kill 1@publish", "--restart 1@publish", "--pause 1@publish:1"];
    for line in ["--nodes 8", "--rounds 6", "--vector-len 5", "--corrupt 1"].into_iter().chain(faults) {
        assert!(!run(line).demonstration, "{line}");
    }
}

#[test]
fn run_is_the_default_command() {
    let line = "--nodes 4 --rounds 2 --seed 9 --corrupt 1 --vector-len 10 --mean --transport quic --json";
    let direct = run(line);
    assert_eq!(direct, run(&format!("run {line}")));
    assert_eq!((direct.nodes, direct.rounds, direct.seed, direct.corrupt), (4, 2, 9, Some(1)));
    assert_eq!(direct.workload, Workload::Random { len: 10, reduction: Reduction::Mean, weights: None });
    assert_eq!((direct.transport, direct.json), (Transport::Quic, true));
}

#[test]
fn faults_name_whom_when_and_for_how_long() {
    let fault = |deed, who, phase, round| Fault { deed, who, phase, round };
    let faults = run("--kill 3@masked-input --kill aggregator@publish@5 --kill aggregator@publish@5").faults;
    let aggregator = fault(Deed::Kill, Who::Aggregator, Phase::Publish, 5);
    let node = fault(Deed::Kill, Who::Node(3), Phase::MaskedInput, 0);
    assert_eq!(faults, [node, aggregator.clone(), aggregator]);
    for phase in Phase::ALL {
        let line = format!("--restart 1@{phase}@2 --pause aggregator@{phase}:0.5");
        let pause = Deed::Pause(Duration::from_millis(500));
        let expected =
            [fault(pause, Who::Aggregator, phase, 0), fault(Deed::Restart, Who::Node(1), phase, 2)];
        assert_eq!(run(&line).faults, expected);
    }
    let groups = [BTreeSet::from([0, 2]), BTreeSet::from([1, 3])];
    let partition = Deed::Partition(groups, Duration::from_secs(20));
    let faults = run("--nodes 4 --partition 2,0|1,3@unmasking@1:20").faults;
    assert_eq!(faults, [fault(partition, Who::Aggregator, Phase::Unmasking, 1)]);
}

#[test]
fn faults_are_shown_as_they_are_written() {
    for (line, shown) in [
        ("--kill 3@publish@1", "--kill 3@publish@1"),
        ("--restart aggregator@unmasking", "--restart aggregator@unmasking@0"),
        ("--pause 2@share-keys:1.844", "--pause 2@share-keys@0:1.844"),
        ("--partition 0,1|3,2,4,5,6,7@publish:3", "--partition 0,1|2,3,4,5,6,7@publish@0:3"),
    ] {
        assert_eq!(run(line).faults.into_iter().map(|fault| fault.to_string()).collect::<Vec<_>>(), [shown]);
    }
}

/// One that comes back may be struck again; one that is dead may be left out of a partition.
#[test]
fn faults_that_can_happen_together_are_accepted() {
    for line in [
        "--restart 1@publish --kill 1@publish@1",
        "--pause 1@publish:2 --restart 1@publish@2 --kill 2@publish",
        "--kill 3@publish --partition 0,1,2|4,5,6,7@publish@1:2",
        "--kill 3@publish --partition 0,1,2,3|4,5,6,7@publish@1:2",
        "--kill aggregator@publish --pause aggregator@publish:1 --partition 0|1,2,3,4,5,6,7@publish:1",
    ] {
        assert!(!run(line).faults.is_empty(), "{line}");
    }
}

#[test]
fn a_soak_is_a_run_whose_faults_follow_from_the_seed() {
    let soak = |line: &str| run(&format!("soak {line}"));
    let plain = soak("--rounds 9 --seed 4");
    assert_eq!((plain.nodes, plain.rounds, plain.seed, plain.soak), (8, 9, 4, true));
    assert!(plain.faults.is_empty() && !plain.demonstration);
    let churn = soak("--rounds 40 --churn --json --nodes 5");
    assert!(churn.json && !churn.faults.is_empty());
    assert_eq!(churn, soak("--rounds 40 --churn --json --nodes 5"));
}

#[test]
fn inputs_decide_the_number_of_nodes() {
    let directory = TempDir::new().unwrap();
    for name in ["b.npy", "a.npy", "d.npy", "c.npy"] {
        fs::write(directory.path().join(name), "").unwrap();
    }
    let path = directory.path().display();
    let run = run(&format!("--inputs {path} --weights w.npy"));
    assert_eq!(run.nodes, 4);
    let Workload::Files { files, reduction, weights } = run.workload else { panic!("no files") };
    assert_eq!((reduction, weights), (Reduction::WeightedMean, Some("w.npy".into())));
    assert_eq!(files, ["a.npy", "b.npy", "c.npy", "d.npy"].map(|name| directory.path().join(name)));

    let error = refusal(&format!("--inputs {path} --nodes 5"));
    assert!(
        error.starts_with("--nodes 5: --inputs has 4 .npy files, one for each node; leave out"),
        "{error}"
    );
    fs::remove_file(directory.path().join("a.npy")).unwrap();
    fs::remove_file(directory.path().join("b.npy")).unwrap();
    assert!(refusal(&format!("--inputs {path}")).contains(": 2 .npy files, but at least 3 are needed"));
}

#[test]
fn unusable_arguments_are_one_line_that_says_what_to_do() {
    let phases = "advertise-keys, share-keys, masked-input, consistency-check, unmasking, publish";
    for (line, expected) in [
        (
            "--nodes 2",
            "--nodes 2: at least 3 are needed, since with fewer a sum shows the inputs; use --nodes 3",
        ),
        ("--nodes 0", "--nodes 0: at least 3 are needed"),
        ("--nodes 301", "301 nodes: more than 300 need sparse graphs, which come in a later version"),
        ("--nodes x", "invalid value 'x' for '--nodes <N>': expected a whole number; see testnet --help"),
        ("--rounds 0", "invalid value '0' for '--rounds <R>': expected a whole number from 1 to 100000"),
        ("--vector-len 0", "invalid value '0' for '--vector-len <D>': expected a whole number from 1"),
        ("--seed -1", "unexpected argument '-1' found"),
        ("--nods 4", "unexpected argument '--nods' found tip: a similar argument exists: '--nodes'; see"),
        ("--nodes 4 run", "the subcommand 'run' cannot be used with '--nodes <N>'"),
        ("frobnicate", "unrecognized subcommand 'frobnicate'"),
        ("--nodes", "a value is required for '--nodes <N>' but none was supplied"),
        ("--nodes 8 --corrupt 3", "--corrupt 3: with 8 nodes it is from 1 to 2; choose"),
        ("--nodes 6 --corrupt 2", "--corrupt 2: with 6 nodes it is from 1 to 1; choose"),
        ("--nodes 3 --corrupt 0", "--corrupt 0: with 3 nodes it is from 1 to 1; choose"),
        ("--kill 8@unmasking", "--kill 8@unmasking@0: there is no node 8; with 8 nodes they are 0 to 7"),
        ("--kill 1@unmasking@6", "--kill 1@unmasking@6: there is no round 6; with 6 rounds they are 0 to 5"),
        (
            "--kill 1@unmasking --restart 1@publish@2",
            "--restart 1@publish@2: node 1 is dead by then, after --kill 1@unmasking@0; name another node",
        ),
        (
            "--kill 1@unmasking --pause 1@publish:2",
            "--kill 1@unmasking@0: node 1 is struck in round 0 already, by --pause 1@publish@0:2; name each",
        ),
        ("--restart 9@publish", "--restart 9@publish@0: there is no node 9; with 8 nodes they are 0 to 7"),
        ("--pause aggregator@publish@6:2", "--pause aggregator@publish@6:2: there is no round 6; with 6"),
        (
            "--partition 0,1|2,3@publish:2",
            "--partition 0,1|2,3@publish@0:2: node 4 is in neither group; name every node that lives then",
        ),
        ("--nodes 4 --partition 0,1|2,4@publish:2", "--partition 0,1|2,4@publish@0:2: there is no node 4"),
        (
            "--nodes 4 --partition 0|1,2,3@publish:2 --partition 1|0,2,3@unmasking:2",
            "--partition 1|0,2,3@unmasking@0:2: round 0 is partitioned already; name one partition for each",
        ),
        (
            "--nodes 3 --kill aggregator@publish --pause aggregator@publish:1 --restart aggregator@publish \
             --kill aggregator@unmasking",
            "--kill aggregator@unmasking@0: with 3 nodes round 0 has no more than 3 aggregators",
        ),
        (
            "--partition 0,1|1,2@publish:2",
            "invalid value '0,1|1,2@publish:2' for '--partition <A,B|C,D@PHASE[@ROUND]:SECONDS>': node 1 is in both",
        ),
        (
            "--partition 0,0|1@publish:2",
            "invalid value '0,0|1@publish:2' for '--partition <A,B|C,D@PHASE[@ROUND]:SECONDS>': node 0 is named twice",
        ),
        (
            "--partition 0,|1@publish:2",
            "invalid value '0,|1@publish:2' for '--partition <A,B|C,D@PHASE[@ROUND]:SECONDS>': '' in a group is not",
        ),
        (
            "--partition 0,1@publish:2",
            "invalid value '0,1@publish:2' for '--partition <A,B|C,D@PHASE[@ROUND]:SECONDS>': expected A,B|C,D@PHASE",
        ),
        (
            "--pause 1@publish",
            "invalid value '1@publish' for '--pause <WHO@PHASE[@ROUND]:SECONDS>': expected WHO@PHASE:SECONDS",
        ),
        (
            "--pause 1@publish:0",
            "invalid value '1@publish:0' for '--pause <WHO@PHASE[@ROUND]:SECONDS>': '0' is not a number of seconds",
        ),
        (
            "--pause 1@publish:inf",
            "invalid value '1@publish:inf' for '--pause <WHO@PHASE[@ROUND]:SECONDS>': 'inf' is not a number of",
        ),
        ("soak --rounds 0", "invalid value '0' for '--rounds <N>': expected a whole number from 1"),
        ("soak --nodes 2", "--nodes 2: at least 3 are needed"),
        ("soak --kill 1@publish", "unexpected argument '--kill' found"),
        (
            "--kill 1",
            "invalid value '1' for '--kill <WHO@PHASE[@ROUND]>': expected WHO@PHASE or WHO@PHASE@ROUND",
        ),
        ("--kill 1@a@2@3", "invalid value '1@a@2@3' for '--kill <WHO@PHASE[@ROUND]>': expected WHO@PHASE"),
        (
            "--kill bob@publish",
            "invalid value 'bob@publish' for '--kill <WHO@PHASE[@ROUND]>': 'bob' is neither",
        ),
        (
            "--kill 1@publish@x",
            "invalid value '1@publish@x' for '--kill <WHO@PHASE[@ROUND]>': 'x' is not the number",
        ),
        ("--vector-len 5 --inputs d", "the argument '--vector-len <D>' cannot be used with '--inputs <DIR>'"),
        (
            "--vector-len 5 --mean --weights w",
            "the argument '--mean' cannot be used with '--weights <FILE.npy>'",
        ),
        ("--mean", "--mean is for vectors, not for digits; add --vector-len D or --inputs DIR"),
        ("--weights w.npy", "--weights is for vectors, not for digits; add --vector-len D or --inputs DIR"),
        (
            "--workload digits --vector-len 5",
            "--vector-len is for vectors, not for digits; leave out --workload",
        ),
        (
            "--workload digits --inputs d",
            "--inputs is for vectors, not for digits; leave out --workload digits",
        ),
        (
            "--workload images",
            "invalid value 'images' for '--workload <WORKLOAD>' [possible values: digits, vectors]",
        ),
        ("--transport udp", "invalid value 'udp' for '--transport <TRANSPORT>' [possible values: tcp, quic]"),
        ("--inputs /nonexistent", "--inputs /nonexistent: cannot be read: "),
        ("--report /nonexistent/r.json", "--report /nonexistent/r.json: no file can be written there"),
        ("--out /dev/null", "--out /dev/null: /dev/null is not a directory; name another"),
        ("--out /dev/null/deep", "--out /dev/null/deep: /dev/null is not a directory; name another"),
        ("--out /dev/null/a\u{1b}b", "--out /dev/null/a\u{fffd}b: /dev/null is not a directory"),
        ("--keep /", "--keep /: something is in it already; name a new or empty directory"),
        ("simulate --members 2", "--members 2: at least 3 are needed"),
        ("simulate --members 301", "--members 301: more than 300 need sparse graphs"),
        ("simulate --members 1001 --degree complete", "--members 1001: at most 1000 can be simulated"),
        ("simulate --degree 20", "--degree 20: sparse graphs come in a later version: use complete or auto"),
        ("simulate --degree ring", "--degree 'ring' is neither auto nor complete nor a number of neighbours"),
        (
            "simulate --drop 1",
            "invalid value '1' for '--drop <FRACTION>': expected a fraction from 0 to less than 1",
        ),
        ("simulate --drop nan", "invalid value 'nan' for '--drop <FRACTION>': expected a fraction"),
        (
            "simulate --threads 0",
            "invalid value '0' for '--threads <T>': expected a whole number from 1 to 1024",
        ),
    ] {
        let error = refusal(line);
        assert!(error.starts_with(expected), "{line}: {error}");
        assert!(!error.contains(char::is_control), "{line}: {error}");
    }
    let error = refusal("--kill 1@masking");
    assert!(error.contains(&format!("unknown phase `masking`; the phases are {phases}")), "{error}");
}

#[test]
fn what_comes_later_is_refused_by_name() {
    for (line, what) in
        [("--dashboard", "--dashboard"), ("run --nodes 4 --dashboard", "--dashboard"), ("bench", "bench")]
    {
        let error = refusal(line);
        assert!(error.starts_with(&format!("{what} comes in a later version; ")), "{line}: {error}");
    }
}

#[test]
fn places_that_can_be_written_are_accepted() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().display();
    let run = run(&format!("--out {path}/new/deep --keep {path} --report {path}/report.json"));
    assert!(run.out.is_some() && run.keep.is_some() && run.report.is_some());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn simulations_have_defaults() {
    let Ok(Command::Simulate(simulation)) = parse_line("simulate") else { panic!("no simulation") };
    let defaults = (100, 100_000, Degree::Auto, 0.0, 0.05, false);
    let Simulate { members, vector_len, degree, drop, corrupt, json, threads } = simulation;
    assert_eq!((members, vector_len, degree, drop, corrupt, json), defaults);
    assert!(threads >= 1);
    let line = "simulate --members 500 --vector-len 7 --degree complete --drop 0.3 --threads 3 --json";
    let Ok(Command::Simulate(simulation)) = parse_line(line) else { panic!("no simulation") };
    let Simulate { members, vector_len, degree, drop, json, threads, .. } = simulation;
    assert_eq!((members, vector_len, degree, drop), (500, 7, Degree::Complete, 0.3));
    assert_eq!((threads, json), (3, true));
}

#[test]
fn help_teaches() {
    for line in ["--help", "run --help", "simulate --help", "soak --help"] {
        let Err(Stop::Told(help)) = parse_line(line) else { panic!("{line}: no help") };
        assert!(help.contains("Examples:\n"), "{line}: {help}");
        assert!(!help.contains("--dashboard") && !help.contains("bench"), "{line}: {help}");
    }
    let Err(Stop::Told(help)) = parse_line("--help") else { panic!("no help") };
    assert!(Phase::ALL.iter().all(|phase| help.contains(phase.name())));
    assert!(matches!(parse_line("--version"), Err(Stop::Told(_))));
}

fn run(line: &str) -> Run {
    match parse_line(line) {
        Ok(Command::Run(run)) => run,
        other => panic!("{line}: {other:?}"),
    }
}

fn refusal(line: &str) -> String {
    match parse_line(line) {
        Err(Stop::Usage(error)) => error,
        other => panic!("{line}: {other:?}"),
    }
}

fn parse_line(line: &str) -> Result<Command, Stop> {
    parse(std::iter::once("testnet").chain(line.split_whitespace()))
}

#[test]
fn lies_have_names_and_need_a_build_that_can_tell_them() {
    let error = refusal("--lie 1:two-vote");
    assert!(error.contains("no lie is called `two-vote`") && error.contains("two-votes"), "{error}");
    assert!(refusal("--lie two-votes").contains("expected WHO:NAME"));
    if cfg!(feature = "lies") {
        assert_eq!(run("--lie aggregator:two-rosters").lies.len(), 1);
        assert!(refusal("--nodes 4 --lie 4:two-votes").contains("there is no node 4"));
    } else {
        assert!(refusal("--lie 1:two-votes").contains("--features lies"));
    }
}
