//! Faults of manifests and settings as terminals show them: file, line, column, the line itself, a code and hints.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use crds_schema::{Diagnostic, Severity, Span};

use super::sanitise::{one_line, sanitise};

/// One fault, over several lines, without a line end.
pub fn render(fault: &Diagnostic, use_color: bool) -> String {
    let level = match fault.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(one_line(&fault.message)).id(one_line(&fault.code));
    let mut group = Group::with_title(title);
    for (index, span) in fault.spans.iter().enumerate() {
        group = if span.snippet.is_empty() {
            group.element(to_origin(span))
        } else {
            group.element(to_snippet(span, index == 0))
        };
    }
    if fault.spans.is_empty() && !fault.object.is_empty() {
        group = group.element(Origin::path(one_line(&fault.object)));
    }
    for hint in &fault.hints {
        group = group.element(Level::HELP.with_name("hint").message(one_line(hint)));
    }
    let renderer = if use_color { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}

/// How many errors and how many warnings there are.
pub fn count(faults: &[Diagnostic]) -> (usize, usize) {
    let errors = faults.iter().filter(|fault| fault.severity == Severity::Error).count();
    (errors, faults.len() - errors)
}

fn to_origin(span: &Span) -> Origin<'static> {
    let origin = Origin::path(one_line(&span.file));
    if span.line == 0 {
        return origin;
    }
    origin.line(to_index(span.line)).char_column(to_index(span.column.max(1)))
}

fn to_snippet(span: &Span, is_primary: bool) -> Snippet<'static, annotate_snippets::Annotation<'static>> {
    let (line, start, end) = locate(span);
    let kind = if is_primary { AnnotationKind::Primary } else { AnnotationKind::Context };
    let annotation = kind.span(start..end);
    let annotation = if span.label.is_empty() { annotation } else { annotation.label(one_line(&span.label)) };
    Snippet::source(line).line_start(to_index(span.line.max(1))).path(one_line(&span.file)).annotation(annotation)
}

/// The line made harmless, and the bytes in it that are meant: at least one character, where there is one.
fn locate(span: &Span) -> (String, usize, usize) {
    let column = to_index(span.column.saturating_sub(1));
    let length = to_index(span.length.max(1));
    let chars = |from: usize, count: usize| span.snippet.chars().skip(from).take(count).collect::<String>();
    let before = sanitise(&chars(0, column)).into_owned();
    let meant = sanitise(&chars(column, length)).into_owned();
    let after = sanitise(&chars(column.saturating_add(length), usize::MAX)).into_owned();
    let (start, end) = (before.len(), before.len() + meant.len());
    (format!("{before}{meant}{after}"), start, end)
}

fn to_index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use crds_schema::{Diagnostic, Span};
    use expect_test::expect;

    use super::render;

    fn span(line: u32, column: u32, length: u32, snippet: &str, label: &str) -> Span {
        Span { file: "web.yaml".into(), line, column, length, snippet: snippet.into(), label: label.into() }
    }

    #[test]
    fn a_fault_shows_its_place_its_code_and_what_to_do() {
        let fault = Diagnostic::error("E0107", "unknown field `replica`")
            .span(span(7, 3, 7, "  replica: 2 # é", ""))
            .span(span(3, 1, 4, "kind: Deployment", "of this object"))
            .hint("did you mean `replicas`?");
        expect![[r"
            error[E0107]: unknown field `replica`
             --> web.yaml:7:3
              |
            7 |   replica: 2 # é
              |   ^^^^^^^
              |
             ::: web.yaml:3:1
              |
            3 | kind: Deployment
              | ---- of this object
              |
              = hint: did you mean `replicas`?"]]
        .assert_eq(&render(&fault, false));
    }

    #[test]
    fn a_fault_without_a_line_still_names_its_file_and_drives_no_terminal() {
        let fault = Diagnostic::error("E0101", "bad\u{1b}[31m").span(span(0, 0, 0, "", ""));
        expect![[r"
            error[E0101]: bad\u{1b}[31m
            --> web.yaml"]]
        .assert_eq(&render(&fault, false));
        let fault = Diagnostic::error("E0101", "bad").span(span(2, 9, 3, "a: \u{202e}b", ""));
        assert!(render(&fault, false).contains("a: \\u{202e}b"));
    }
}
