//! Tables as kubectl prints them: upper-case headings, columns three spaces apart, no lines.

use comfy_table::{ColumnConstraint, ContentArrangement, Row, Table as Grid, Width, presets};

use super::sanitise::one_line;

/// The space between two columns.
const GAP: u16 = 3;

/// A table that can grow: later rows keep to the widths of the first ones.
#[derive(Debug, Clone)]
pub(super) struct Table {
    headings: Vec<String>,
    widths: Vec<u16>,
}

impl Table {
    pub(super) fn new(headings: Vec<String>) -> Self {
        let widths = vec![0; headings.len()];
        Self { headings, widths }
    }

    /// The headings and rows, each line ended.
    pub(super) fn render(&mut self, rows: &[Vec<String>]) -> String {
        let headings = self.headings.clone();
        self.lay_out(std::iter::once(headings).chain(rows.iter().cloned()))
    }

    /// Further rows.
    pub(super) fn render_more(&mut self, rows: &[Vec<String>]) -> String {
        self.lay_out(rows.iter().cloned())
    }

    fn lay_out(&mut self, rows: impl Iterator<Item = Vec<String>>) -> String {
        let mut grid = Grid::new();
        grid.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        for row in rows {
            grid.add_row(Row::from(row.iter().map(|cell| one_line(cell)).collect::<Vec<_>>()));
        }
        let found = grid.column_max_content_widths();
        for (index, column) in grid.column_iter_mut().enumerate() {
            let known = self.widths.get(index).copied().unwrap_or(0);
            let width = known.max(found.get(index).copied().unwrap_or(0));
            if let Some(slot) = self.widths.get_mut(index) {
                *slot = width;
            }
            column.set_padding((0, GAP));
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width.saturating_add(GAP))));
        }
        let mut text = String::new();
        for line in grid.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn later_rows_keep_to_the_widths_of_the_first() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let mut table = Table::new(row(["NAME", "STATUS", "AGE"]));
        let text = table.render(&[row(["web", "Ready", "5m"]), row(["a-longer-name", "", "1h"])]);
        assert_eq!(text, "NAME            STATUS   AGE\nweb             Ready    5m\na-longer-name            1h\n");
        assert_eq!(table.render_more(&[row(["x", "Bad\u{1b}\nly", "2h"])]), "x               Bad\\u{1b} ly   2h\n");
    }
}
