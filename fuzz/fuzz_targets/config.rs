#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| consort_node::fuzzing::config(bytes));
