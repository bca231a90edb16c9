//! What a node uses, as the operating system tells it of another process.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::{fleet::Fleet, report::Growth};

/// The first rounds of a process fill its caches and pools.
const WARM_UP: usize = 4;

/// With fewer rounds after them a trend cannot be told from noise.
const LEAST: usize = 10;

#[derive(Clone, Copy)]
struct Sample {
    round: u32,
    rss: f64,
    handles: f64,
    disk: f64,
}

/// Watches all processes, round by round.
#[derive(Default)]
pub(crate) struct Watch {
    /// By node and life.
    samples: BTreeMap<(usize, u64), Vec<Sample>>,
}

impl Watch {
    /// Takes a sample of each process.
    pub(crate) fn look(&mut self, round: u32, fleet: &Fleet, homes: &[PathBuf]) {
        for (node, home) in homes.iter().enumerate() {
            let Some((process, life)) = fleet.process(node) else { continue };
            let Some((rss, handles)) = resident(process).zip(handles(process)) else { continue };
            let disk = size(home) as f64;
            self.samples.entry((node, life)).or_default().push(Sample { round, rss, handles, disk });
        }
    }

    /// The steepest growth of any process that lived long enough, and how many did.
    pub(crate) fn growth(&self) -> (Growth, usize) {
        let long = self.samples.values().filter_map(|samples| samples.get(WARM_UP..));
        let long: Vec<&[Sample]> = long.filter(|samples| samples.len() >= LEAST).collect();
        let most = |of: fn(&Sample) -> f64| {
            long.iter().map(|samples| slope(samples, of)).reduce(f64::max).unwrap_or(0.0)
        };
        let growth = Growth {
            rss: most(|sample| sample.rss),
            handles: most(|sample| sample.handles),
            disk: most(|sample| sample.disk),
        };
        (growth, long.len())
    }
}

/// Of the line through the samples that fits best.
fn slope(samples: &[Sample], of: fn(&Sample) -> f64) -> f64 {
    let mean = |of: &dyn Fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / samples.len() as f64;
    let round = |sample: &Sample| f64::from(sample.round);
    let (middle, level) = (mean(&round), mean(&of));
    let spread: f64 = samples.iter().map(|sample| (round(sample) - middle).powi(2)).sum();
    let together: f64 = samples.iter().map(|sample| (round(sample) - middle) * (of(sample) - level)).sum();
    if spread > 0.0 { together / spread } else { 0.0 }
}

fn resident(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

fn handles(process: u32) -> Option<f64> {
    Some(fs::read_dir(format!("/proc/{process}/fd")).ok()?.count() as f64)
}

/// What the files below a folder take on disk.
fn size(folder: &Path) -> u64 {
    /// What the operating system counts blocks in, whatever the file system does.
    const BLOCK: u64 = 512;
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            // logs are for whoever keeps them, and grow
            Ok(metadata) if entry.path().extension().is_none_or(|extension| extension != "log") => {
                metadata.blocks() * BLOCK
            }
            _ => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_that_of_the_line_through_the_samples() {
        let sample = |(round, noise): (u32, f64)| Sample {
            round,
            rss: 1000.0 + 7.0 * f64::from(round) + noise,
            handles: 12.0,
            disk: 0.0,
        };
        let noise = [1.0, -1.0, -1.0, 1.0].repeat(3);
        let steady: Vec<Sample> = (0..).zip(noise).map(sample).collect();
        assert!((slope(&steady, |sample| sample.rss) - 7.0).abs() < 1e-9);
        let start = (0..WARM_UP as u32).map(|round| Sample { rss: 0.0, ..sample((round, 0.0)) });
        let later = steady.iter().map(|&sample| Sample { round: sample.round + 4, ..sample });
        let samples =
            BTreeMap::from([((0, 1), start.chain(later).collect()), ((1, 2), steady[..3].to_vec())]);
        let (growth, observed) = Watch { samples }.growth();
        assert!((growth.rss - 7.0).abs() < 1e-9);
        assert_eq!((growth.handles, growth.disk, observed), (0.0, 0.0, 1));
    }

    #[test]
    fn this_process_has_memory_and_handles() {
        let me = std::process::id();
        assert!(resident(me).unwrap() > 1e5 && handles(me).unwrap() >= 3.0);
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        fs::write(folder.path().join("deep/file"), vec![1; 10_000]).unwrap();
        fs::write(folder.path().join("node.log"), vec![1; 10_000_000]).unwrap();
        assert!((10_000..1_000_000).contains(&size(folder.path())));
    }
}
