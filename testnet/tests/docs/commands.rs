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

/// A page of the documentation, or a part of it.
pub(crate) struct Page {
    /// Its file, for messages.
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Page {
    /// The page in this file, from the root of the repository.
    pub(crate) fn read(name: &str) -> Self {
        Self { name: name.into(), text: fs::read_to_string(root().join(name)).unwrap() }
    }
}

/// The pages with commands: all of the root and of `docs/`.
pub(crate) fn pages() -> Vec<Page> {
    let mut names: Vec<String> = Vec::new();
    for folder in ["", "docs/"] {
        let listed = fs::read_dir(root().join(folder)).unwrap();
        let listed = listed.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.extend(listed.filter(|name| name.ends_with(".md")).map(|name| format!("{folder}{name}")));
    }
    names.sort();
    names.iter().map(|name| Page::read(name)).collect()
}

/// All calls of a program on this page, by its name, through `cargo run --bin`, as another user, by cron, or in a
/// container.
pub(crate) fn calls(program: &str, page: &Page) -> Vec<Shown> {
    let (mut calls, mut fence) = (Vec::new(), None);
    for (number, line) in page.text.lines().enumerate() {
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
            let place = format!("{}:{}: {command}", page.name, number + 1);
            let arguments = arguments.iter().map(ToString::to_string).collect();
            calls.push(Shown { place, arguments });
        }
    }
    calls
}

/// What a line passes to the program, if it calls it.
fn arguments<'a>(program: &str, words: &'a [&'a str]) -> Option<&'a [&'a str]> {
    let as_user = words.starts_with(&["sudo", "-u"]).then_some(3);
    let is_time = |word: &&str| word.chars().all(|letter| letter.is_ascii_digit() || letter == '*');
    let by_cron = words.get(..5).is_some_and(|times| times.iter().all(is_time)).then_some(5);
    if let ["docker", "run" | "exec", options @ ..] = words {
        return in_container(program, options);
    }
    let called = words.get(as_user.or(by_cron).unwrap_or(0)..)?;
    if called.first() == Some(&program) {
        return called.get(1..);
    }
    let through_cargo = words.starts_with(&["cargo", "run"])
        && words.iter().zip(words.iter().skip(1)).any(|pair| pair == (&"--bin", &program));
    let start = words.iter().position(|word| *word == "--").map_or(words.len(), |dashes| dashes + 1);
    if through_cargo { words.get(start..) } else { None }
}

/// What is passed to the program that the image of its name begins with, or that is called in a container of its name.
/// Without any it is what the image says.
fn in_container<'a>(program: &str, options: &'a [&'a str]) -> Option<&'a [&'a str]> {
    let is_name = |at: usize| at > 0 && options.get(at - 1) == Some(&"--name");
    let image = (0..options.len()).find(|at| options.get(*at) == Some(&program) && !is_name(*at))?;
    let arguments = options.get(image + 1..).filter(|arguments| !arguments.is_empty())?;
    match arguments {
        _ if options.contains(&"--entrypoint") => None,
        [first, arguments @ ..] if *first == program => Some(arguments),
        arguments => Some(arguments),
    }
}
