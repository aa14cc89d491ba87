//! The report: every figure with its ratio, its target and whether it was met.

use std::fmt;

use crate::report::median;

/// What a figure is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// It is there for comparison.
    None,
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
    /// Its ratio at most this.
    RatioAtMost(f64),
    /// Its ratio at least this.
    RatioAtLeast(f64),
}

/// A figure.
#[derive(Debug)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) figure: String,
    /// What came out, one value a round.
    pub(crate) values: Vec<f64>,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// What it is compared to, one value a round, and its name.
    pub(crate) beside: Option<(Vec<f64>, &'static str)>,
    /// What it is to be.
    pub(crate) target: Target,
}

/// All figures.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    /// Adds a figure, and says it at once.
    pub(crate) fn add(&mut self, row: Row) {
        println!("{row}");
        crate::report::all("rounds", &row.values);
        self.0.push(row);
    }
}

impl Row {
    /// The middle one of the ratios of the rounds.
    fn ratio(&self) -> Option<f64> {
        let (beside, _) = self.beside.as_ref()?;
        Some(crate::report::median_ratio(&self.values, beside))
    }

    /// The value of the round that a quarter of all rounds were better than or as good as: what it is when nothing else has the cores.
    fn quiet(&self, values: &[f64]) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        if self.unit == "calls/s" {
            sorted.reverse();
        }
        sorted.get(sorted.len() / 4).copied().unwrap_or(f64::NAN)
    }

    fn verdict(&self) -> (String, &'static str) {
        let (value, ratio) = (median(&self.values), self.ratio().unwrap_or(f64::NAN));
        let word = |is_met: bool| if is_met { "yes" } else { "**no**" };
        match self.target {
            Target::None => (String::new(), ""),
            Target::AtMost(most) => (format!("at most {most} {}", self.unit), word(value <= most)),
            Target::AtLeast(least) => (format!("at least {least} {}", self.unit), word(value >= least)),
            Target::RatioAtMost(most) => (format!("at most {most} times"), word(ratio <= most)),
            Target::RatioAtLeast(least) => (format!("at least {least} times"), word(ratio >= least)),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = median(&self.values);
        let digits = usize::from(value.abs() < 1_000.0);
        let quiet = self.quiet(&self.values);
        let (ratio, quiet_ratio) = match (self.ratio(), &self.beside) {
            (Some(ratio), Some((beside, name))) => {
                (format!("{ratio:.2} of {name}"), format!(", {:.2} of {name}", quiet / self.quiet(beside)))
            }
            _ => (String::new(), String::new()),
        };
        let (target, verdict) = self.verdict();
        let (figure, unit) = (&self.figure, self.unit);
        write!(
            f,
            "| {figure} | {value:.digits$} {unit} | {ratio} | {quiet:.digits$}{quiet_ratio} | {target} | {verdict} |"
        )
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| figure | came to | beside | in the quiet quarter of rounds | target | met |\n|---|---|---|---|---|---|"
        )?;
        self.0.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}
