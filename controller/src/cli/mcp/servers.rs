//! `evenkeel mcp ls`: the servers behind a gateway.

use std::collections::BTreeMap;

use clap::Args;
use gateway::wire::object::RawObject;
use serde_json::{Value, json};

use super::access::AccessArgs;
use super::client::McpClient;
use super::item::{ItemFormat, Kind, name_of, server_of};
use super::list::all_of;
use crate::cli::console::{Console, ExitStatus};
use crate::cli::error::CliError;
use crate::cli::global::GlobalArgs;
use crate::cli::output::{to_json_text, to_yaml_text};
use crate::cli::sanitise::sanitise_json;
use crate::cli::table::Table;

/// What stands for the server where names do not say it.
const UNKNOWN: &str = "-";

#[derive(Debug, Args)]
pub(in crate::cli) struct LsArgs {
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = ItemFormat::Table)]
    output: ItemFormat,
    #[command(flatten)]
    access: AccessArgs,
}

/// How much a server offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Offer {
    tools: usize,
    prompts: usize,
    resources: usize,
    instructions: String,
}

pub(super) async fn run(args: &LsArgs, global: &GlobalArgs, console: &mut Console) -> Result<ExitStatus, CliError> {
    let client = McpClient::connect(args.access.resolve(global)?).await?;
    let discovered = client.discover().await?;
    let fields = RawObject::parse(&discovered).unwrap_or_default();
    let instructions = fields.get_str("instructions").unwrap_or_default().into_owned();
    let tools = all_of(&client, Kind::Tool).await?;
    let prompts = all_of(&client, Kind::Prompt).await?;
    let mut offers = count(&tools, &prompts, &instructions);
    let names: Vec<String> = offers.keys().filter(|name| *name != UNKNOWN).cloned().collect();
    for name in names {
        // A heading in some server's instructions may look like a server's name.
        let resources = match client.of_server(&name).await {
            Ok(server) => all_of(&server, Kind::Resource).await.ok().map(|resources| resources.len()),
            Err(_) => None,
        };
        match (resources, offers.get_mut(&name)) {
            (Some(count), Some(offer)) => offer.resources = count,
            (None, Some(offer)) if offer.tools + offer.prompts == 0 => drop(offers.remove(&name)),
            (_, _) => {}
        }
    }
    if let Some(offer) = offers.get_mut(UNKNOWN) {
        offer.resources = all_of(&client, Kind::Resource).await?.len();
    }
    print(&offers, args.output, console)?;
    Ok(ExitStatus::Success)
}

/// What the names of tools and prompts, and the headings of the instructions, say of servers.
fn count(tools: &[String], prompts: &[String], instructions: &str) -> BTreeMap<String, Offer> {
    let mut offers: BTreeMap<String, Offer> = BTreeMap::new();
    let server = |item: &String| server_of(&name_of(item)).unwrap_or(UNKNOWN).to_owned();
    for tool in tools {
        offers.entry(server(tool)).or_default().tools += 1;
    }
    for prompt in prompts {
        offers.entry(server(prompt)).or_default().prompts += 1;
    }
    let mut lines = instructions.lines().peekable();
    while let Some(line) = lines.next() {
        let name = line.strip_prefix("## ").filter(|name| is_label(name));
        if let (Some(name), Some(first)) = (name, lines.peek()) {
            (*first).clone_into(&mut offers.entry(name.to_owned()).or_default().instructions);
        }
    }
    offers
}

fn is_label(name: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.len() <= 63 && name.bytes().all(is_fit)
}

fn print(offers: &BTreeMap<String, Offer>, format: ItemFormat, console: &mut Console) -> Result<(), CliError> {
    let is_wide = format == ItemFormat::Wide;
    match format {
        ItemFormat::Table | ItemFormat::Wide if offers.is_empty() => {
            console.talk("no servers");
            Ok(())
        }
        ItemFormat::Table | ItemFormat::Wide => console.data(&to_table(offers, is_wide)),
        ItemFormat::Json => console.raw_data(&sanitise_json(&to_json_text(&to_values(offers)))),
        ItemFormat::Yaml => console.data(&to_yaml_text(&to_values(offers))?),
    }
}

fn to_table(offers: &BTreeMap<String, Offer>, is_wide: bool) -> String {
    let mut headings = ["SERVER", "TOOLS", "PROMPTS", "RESOURCES"].map(str::to_owned).to_vec();
    headings.extend(is_wide.then(|| "INSTRUCTIONS".to_owned()));
    let to_row = |(name, offer): (&String, &Offer)| {
        let mut row = vec![name.clone()];
        row.extend([offer.tools, offer.prompts, offer.resources].map(|count| count.to_string()));
        row.extend(is_wide.then(|| offer.instructions.clone()));
        row
    };
    Table::new(headings).render(&offers.iter().map(to_row).collect::<Vec<_>>())
}

fn to_values(offers: &BTreeMap<String, Offer>) -> Value {
    let to_value = |(name, offer): (&String, &Offer)| {
        json!({
            "server": name,
            "tools": offer.tools,
            "prompts": offer.prompts,
            "resources": offer.resources,
            "instructions": offer.instructions,
        })
    };
    offers.iter().map(to_value).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::{count, to_table};

    #[test]
    fn servers_are_counted_by_the_names_of_what_they_offer() {
        let item = |name: &str| format!("{{\"name\":\"{name}\"}}");
        let tools = [item("git__log"), item("git__diff"), item("time__now"), item("plain")];
        let offers = count(&tools, &[item("git__ask")], "\n## git\nUse with care.\n\n## Usage\nx\n\n## docs\nRead.\n");
        expect![[r"
            SERVER   TOOLS   PROMPTS   RESOURCES   INSTRUCTIONS
            -        1       0         0
            docs     0       0         0           Read.
            git      2       1         0           Use with care.
            time     1       0         0
        "]]
        .assert_eq(&to_table(&offers, true));
    }
}
