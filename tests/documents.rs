//! Documents that show manifests and commands: each of them is one that this release takes, so that no page rots.

use std::fs;
use std::path::Path;

use clap::Parser as _;
use clap::error::ErrorKind;
use controller::cli::command::Cli;
use crds_schema::{Diagnostic, Loader, ManifestFile};

/// The pages, from the root.
const PAGES: [&str; 3] = ["README.md", "docs/mcp.md", "docs/operations.md"];
/// What a manifest that a page shows a part of begins and ends with.
const AROUND_A_SPEC: (&str, &str) =
    ("apiVersion: evenkeel.dev/v1\nkind: McpServer\nmetadata: { name: part }\n", "  image: \"example/part:1\"\n");

struct Page {
    name: &'static str,
    text: String,
}

/// A fenced block: its language, the number of its first line, and its lines without the indentation of the fence.
struct Block {
    language: String,
    line: usize,
    text: String,
}

fn pages() -> Vec<Page> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    PAGES.iter().map(|name| Page { name, text: fs::read_to_string(root.join(name)).unwrap() }).collect()
}

impl Page {
    fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<(usize, Block)> = None;
        for (index, line) in self.text.lines().enumerate() {
            let indentation = line.len() - line.trim_start().len();
            match (line.trim_start().strip_prefix("```"), open.take()) {
                (Some(language), None) => {
                    let block = Block { language: language.to_owned(), line: index + 2, text: String::new() };
                    open = Some((indentation, block));
                }
                (Some(_), Some((_, block))) => blocks.push(block),
                (None, Some((indentation, mut block))) => {
                    block.text.push_str(line.get(indentation..).unwrap_or_default());
                    block.text.push('\n');
                    open = Some((indentation, block));
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{} has a block without an end", self.name);
        blocks
    }

    /// What stands between backticks outside of blocks.
    fn inline_code(&self) -> Vec<String> {
        let mut is_prose = true;
        let mut prose = String::new();
        for line in self.text.lines() {
            if line.trim_start().starts_with("```") {
                is_prose = !is_prose;
            } else if is_prose {
                prose.push_str(line);
                prose.push('\n');
            }
        }
        // A span may be broken over two lines, and never spans paragraphs.
        let paragraphs = prose.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
        let spans =
            paragraphs.flat_map(|text| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>());
        spans.collect()
    }
}

/// Parses a command line as the program does. `None`: it is one, or asks for help.
fn fault_of(command: &str) -> Option<ErrorKind> {
    Cli::try_parse_from(command.split_whitespace()).err().map(|error| error.kind())
}

#[test]
fn every_manifest_that_a_page_shows_is_taken_without_a_word() {
    let mut count = 0;
    for page in pages() {
        for block in page.blocks().into_iter().filter(|block| block.language == "yaml") {
            let (before, after) = AROUND_A_SPEC;
            let is_part = block.text.starts_with("spec:");
            let text = if is_part { format!("{before}{}{after}", block.text) } else { block.text };
            let file = Loader::new().load(&ManifestFile { name: page.name, directory: "/srv", bytes: text.as_bytes() });
            let told: Vec<String> = file.diagnostics.iter().map(Diagnostic::one_line).collect();
            assert!(told.is_empty() && !file.objects.is_empty(), "{}:{}: {told:?}\n{text}", page.name, block.line);
            count += 1;
        }
    }
    assert!(count >= 7, "the pages have {count} manifests");
}

#[test]
fn every_command_line_that_a_page_shows_is_one_of_the_program() {
    let mut count = 0;
    for page in pages() {
        for block in page.blocks() {
            let lines = block.text.lines().map(|line| line.split(" #").next().unwrap_or_default());
            // The line of a unit names the program by its path.
            let commands = lines.flat_map(|line| line.split(';')).map(|command| {
                command.trim().strip_prefix("ExecStart=/usr/local/bin/").unwrap_or(command.trim()).to_owned()
            });
            for command in commands.filter(|command| command.starts_with("evenkeel ")) {
                assert_eq!(fault_of(&command), None, "{}:{}: {command}", page.name, block.line);
                count += 1;
            }
        }
    }
    assert!(count >= 12, "the pages have {count} command lines");
}

#[test]
fn every_command_that_a_page_mentions_is_one_of_the_program() {
    let mut count = 0;
    for page in pages() {
        for mention in page.inline_code() {
            let Some(rest) = mention.strip_prefix("evenkeel ") else { continue };
            // How it is used: what may be left out is in brackets, what may be repeated has dots.
            let command = format!("evenkeel {}", rest.replace(['[', ']', '…'], ""));
            let fault = fault_of(&command);
            // A mention need not say all that the command needs.
            let is_one = matches!(
                fault,
                None | Some(ErrorKind::MissingRequiredArgument | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand)
            );
            assert!(is_one, "{}: `{mention}`: {fault:?}", page.name);
            count += 1;
        }
    }
    assert!(count >= 20, "the pages mention {count} commands");
}

#[test]
fn every_file_of_the_repository_that_a_page_mentions_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut count = 0;
    for page in pages() {
        for mention in page.inline_code() {
            let is_path = ["scripts/", "manifests/", "tests/", "docs/", "benches/"]
                .iter()
                .any(|start| mention.starts_with(start));
            let path = mention.split_whitespace().next().unwrap_or_default();
            assert!(!is_path || root.join(path).exists(), "{}: `{mention}` is not there", page.name);
            count += usize::from(is_path);
        }
    }
    assert!(count >= 5, "the pages mention {count} files");
}
