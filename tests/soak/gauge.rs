//! Gauges of the controller's process and of its store, and whether they stay flat.

use std::fs;
use std::path::Path;

/// The first samples of a process are left out: caches and logs fill up to their caps.
const WARM_UP: usize = 3;
/// With fewer samples than this, after the first ones, nothing is said.
const FEWEST: usize = 9;
/// How much the memory may grow from the first third to the last: a share, and what an allocator may keep on top.
const RSS_GROWTH_PERCENT: u64 = 25;
const RSS_GROWTH_KIB: u64 = 4 << 10;
/// How far descriptors and threads may be apart: pooled connections and idle workers come and go.
const DESCRIPTORS_APART: u64 = 4;
const THREADS_APART: u64 = 2;
/// How large the store may ever be. By its caps it holds 100 events of each object, 1 000 passes and 50 manifests of objects that
/// are gone: with 13 objects little more than 1 MiB. The database's log holds older versions too, before it reuses their place: after
/// half an hour of restarts and half an hour without it had grown to 10 MiB, and stayed there.
pub(super) const STORE_CAP_BYTES: u64 = 32 << 20;

/// What was measured at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// The how manieth controller it was.
    pub(super) life: u32,
    pub(super) rss_kib: u64,
    pub(super) descriptors: u64,
    pub(super) threads: u64,
    pub(super) store_bytes: u64,
}

impl Sample {
    /// Reads the process and the directory of the store.
    pub(super) fn take(life: u32, pid: u32, store: &Path) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let field = |name: &str| {
            let rest = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            rest.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        Self {
            life,
            rss_kib: field("VmRSS:"),
            descriptors: u64::try_from(descriptors).unwrap(),
            threads: field("Threads:"),
            store_bytes: bytes_below(store),
        }
    }
}

/// What the files of a directory hold together. A file that goes meanwhile counts as nothing.
fn bytes_below(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}

/// The medians of the first and of the last third of a controller's samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Thirds {
    pub(super) samples: usize,
    pub(super) first: Sample,
    pub(super) last: Sample,
}

impl Thirds {
    /// Those of the controller that lived longest; nothing where it did not live for long enough.
    pub(super) fn of(samples: &[Sample]) -> Option<Self> {
        let longest = samples.chunk_by(|one, other| one.life == other.life).max_by_key(|life| life.len())?;
        let counted = longest.get(WARM_UP..).filter(|counted| counted.len() >= FEWEST)?;
        let third = counted.len() / 3;
        let last = &counted[counted.len() - third..];
        Some(Self { samples: counted.len(), first: medians(&counted[..third]), last: medians(last) })
    }

    /// What is not flat.
    pub(super) fn faults(&self) -> Vec<String> {
        let (first, last) = (self.first, self.last);
        let mut faults = Vec::new();
        if last.rss_kib > first.rss_kib + first.rss_kib * RSS_GROWTH_PERCENT / 100 + RSS_GROWTH_KIB {
            faults.push(format!("memory grows: {} KiB, then {} KiB", first.rss_kib, last.rss_kib));
        }
        if last.descriptors.abs_diff(first.descriptors) > DESCRIPTORS_APART {
            faults.push(format!("descriptors: {}, then {}", first.descriptors, last.descriptors));
        }
        if last.threads.abs_diff(first.threads) > THREADS_APART {
            faults.push(format!("threads: {}, then {}", first.threads, last.threads));
        }
        faults
    }
}

fn medians(samples: &[Sample]) -> Sample {
    let median = |of: fn(&Sample) -> u64| {
        let mut values: Vec<u64> = samples.iter().map(of).collect();
        values.sort_unstable();
        values[values.len() / 2]
    };
    Sample {
        life: samples[0].life,
        rss_kib: median(|sample| sample.rss_kib),
        descriptors: median(|sample| sample.descriptors),
        threads: median(|sample| sample.threads),
        store_bytes: median(|sample| sample.store_bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::{Sample, Thirds};

    fn samples(of: impl Fn(u64) -> Sample) -> Vec<Sample> {
        (0..30).map(of).collect()
    }

    fn sample(rss_kib: u64, descriptors: u64, threads: u64) -> Sample {
        Sample { life: 1, rss_kib, descriptors, threads, store_bytes: 1 }
    }

    #[test]
    fn what_wavers_is_flat() {
        let wavering = samples(|number| sample(30_000 + number % 7 * 500, 20 + number % 4, 8 + number % 2));
        assert_eq!(Thirds::of(&wavering).unwrap().faults(), Vec::<String>::new());
    }

    #[test]
    fn a_leak_of_each_kind_is_seen() {
        let leaking = samples(|number| sample(30_000 + number * 1_000, 20 + number, 8 + number / 2));
        let faults = Thirds::of(&leaking).unwrap().faults();
        assert_eq!(faults.len(), 3, "{faults:?}");
    }

    #[test]
    fn only_the_controller_that_lived_longest_is_judged() {
        let dying = samples(|number| Sample { life: u32::try_from(number / 2).unwrap(), ..sample(1, 1, 1) });
        assert_eq!(Thirds::of(&dying), None);
        let thirds = Thirds::of(&[dying, samples(|_| Sample { life: 99, ..sample(2, 2, 2) })].concat()).unwrap();
        assert_eq!((thirds.samples, thirds.first.life), (27, 99));
    }
}
