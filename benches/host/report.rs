//! How figures are printed.

use std::time::Duration;

/// Begins a measurement, and says how loaded the machine is.
pub(crate) fn heading(name: &str) {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split(' ').take(1).collect();
    println!("\n== {name} (load of the machine: {})", load.concat());
}

/// One figure and what it is to be at most.
pub(crate) fn against_target(what: &str, value: f64, unit: &str, target: f64) {
    let verdict = if value <= target { "met" } else { "MISSED" };
    println!("{what:<58} {value:>9.3} {unit:<5} target {target} {unit}: {verdict}");
}

/// One figure and what it is to be at least.
pub(crate) fn at_least_target(what: &str, value: f64, unit: &str, target: f64) {
    let verdict = if value >= target { "met" } else { "MISSED" };
    println!("{what:<58} {value:>9.3} {unit:<5} target at least {target} {unit}: {verdict}");
}

/// One figure that has no target.
pub(crate) fn figure(what: &str, value: f64, unit: &str) {
    println!("{what:<58} {value:>9.3} {unit}");
}

/// The middle one.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

/// The middle one of the ratios of pairs: what was measured side by side is compared side by side.
pub(crate) fn median_ratio(of: &[f64], to: &[f64]) -> f64 {
    let ratios: Vec<f64> = of.iter().zip(to).map(|(of, to)| of / to).collect();
    median(&ratios)
}

/// Values as one line, for who wants to see the noise.
pub(crate) fn all(what: &str, values: &[f64]) {
    let values: Vec<String> = values.iter().map(|value| format!("{value:.3}")).collect();
    println!("  {what}: {}", values.join(" "));
}

/// A count as a number to calculate with.
pub(crate) fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::NAN, f64::from)
}

/// Milliseconds.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
