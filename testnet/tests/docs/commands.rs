//! The commands in fenced `sh` and `console` blocks of the documentation.

use std::{fs, path::PathBuf};

/// A command as the documentation shows it.
pub(crate) struct Shown {
    /// File and line, for messages.
    pub(crate) place: String,
    /// What the program is called with.
    pub(crate) arguments: Vec<String>,
}

/// Root of the repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The pages with commands: all of the root and of `docs/`.
pub(crate) fn pages() -> Vec<PathBuf> {
    let listed = ["", "docs"].map(|folder| fs::read_dir(root().join(folder)).unwrap());
    let mut pages: Vec<PathBuf> = listed.into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    pages
}

/// All calls of a program in these pages, by its name or through `cargo run --bin`.
pub(crate) fn calls(program: &str, pages: &[PathBuf]) -> Vec<Shown> {
    pages.iter().flat_map(|page| calls_in(program, page)).collect()
}

fn calls_in(program: &str, page: &PathBuf) -> Vec<Shown> {
    let text = fs::read_to_string(page).unwrap();
    let (mut calls, mut fence) = (Vec::new(), None);
    for (number, line) in text.lines().enumerate() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            fence = if fence.is_none() { Some(language.to_owned()) } else { None };
            continue;
        }
        let command = match fence.as_deref() {
            Some("sh") => Some(line),
            Some("console") => line.strip_prefix("$ "),
            _ => None,
        };
        let Some(command) = command else { continue };
        // what follows is for the shell, or for people
        let words = command.split_whitespace().take_while(|word| !word.starts_with(['#', '>']));
        let words: Vec<&str> = words.collect();
        if let Some(arguments) = arguments(program, &words) {
            let place = format!("{}:{}: {command}", page.display(), number + 1);
            let arguments = arguments.iter().map(ToString::to_string).collect();
            calls.push(Shown { place, arguments });
        }
    }
    calls
}

/// What a line passes to the program, if it calls it.
fn arguments<'a>(program: &str, words: &'a [&'a str]) -> Option<&'a [&'a str]> {
    if words.first() == Some(&program) {
        return words.get(1..);
    }
    let through_cargo = words.starts_with(&["cargo", "run"])
        && words.iter().zip(words.iter().skip(1)).any(|pair| pair == (&"--bin", &program));
    let start = words.iter().position(|word| *word == "--").map_or(words.len(), |dashes| dashes + 1);
    if through_cargo { words.get(start..) } else { None }
}
