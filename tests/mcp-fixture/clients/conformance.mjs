// What the conformance suite runs as a client: goes to the suite's server through a gateway of ours, and uses all that it lists.
//
// usage: conformance.mjs NODE_MODULES WAY MODE URL
//
// WAY is `hub`, the program in EVENKEEL_HUB with the suite's server behind it, or `bridge`, the program in EVENKEEL with the suite's server
// for its gateway. MODE is the era that this client speaks: `legacy` or `auto`. The suite adds the URL.

import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

const [modules, way, mode, url] = process.argv.slice(2);
const from = createRequire(join(resolve(modules), "package.json"));
const { Client, StreamableHTTPClientTransport } = from("@modelcontextprotocol/client");
const { StdioClientTransport } = from("@modelcontextprotocol/client/stdio");

// The suite names the host, and the bare hub takes addresses.
const server = new URL(url.replace("//localhost:", "//127.0.0.1:"));
// The only server of the hub, under its own names.
const NAME = "suite";
const LOOKS = 400;
// An end of its own: the suite waits for whoever holds the streams of what it has killed.
setTimeout(() => process.exit(1), 60_000).unref();

// Starts the hub, and returns where the suite's server is in it once it has listed it.
async function hub() {
  const program = spawn("scripts/tied.sh", ["KILL", process.env.EVENKEEL_HUB, "127.0.0.1:0", `${NAME}=${server}`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  process.on("exit", () => program.kill("SIGKILL"));
  const { value: hubUrl } = await createInterface({ input: program.stdout })[Symbol.asyncIterator]().next();
  for (let look = 0; look < LOOKS; look += 1) {
    const metrics = await (await fetch(new URL("/metrics", hubUrl))).text();
    if (/^evenkeel_mcp_servers_ready 1$/m.test(metrics)) break;
    await sleep(50);
  }
  return new StreamableHTTPClientTransport(new URL(`${hubUrl}/${NAME}`));
}

function bridge() {
  const args = ["KILL", process.env.EVENKEEL, "mcp", "bridge", "--gateway", String(server)];
  return new StdioClientTransport({ command: "scripts/tied.sh", args, env: process.env, stderr: "inherit" });
}

// What a person accepts without a look: the defaults, and what a form asks for without one.
function accept({ params }) {
  const fields = Object.entries(params.requestedSchema?.properties ?? {});
  const content = fields.map(([name, field]) => [name, field.default ?? (field.type === "boolean" ? true : "text")]);
  return { action: "accept", content: Object.fromEntries(content) };
}

// The arguments of each call of a tool: what the scenario wants, or what the tool asks for.
function callsOf(tool, tools) {
  const wanted = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? "{}").toolCalls ?? [];
  const calls = wanted.filter(({ name }) => name === tool.name).map((call) => call.arguments);
  if (calls.length > 0) return calls;
  const values = {
    number: 2,
    string: "text",
    object: tools.find(({ name }) => name === "json_schema_2020_12_tool")?.inputSchema,
  };
  const { properties = {}, required = [] } = tool.inputSchema;
  return [Object.fromEntries(required.map((name) => [name, values[properties[name]?.type]]))];
}

const client = new Client(
  { name: "conformance", version: "1" },
  { versionNegotiation: { mode }, capabilities: { elicitation: { form: { applyDefaults: true } } } },
);
client.setRequestHandler("elicitation/create", async (request) => accept(request));
await client.connect(way === "hub" ? await hub() : bridge());
const { tools, resources, prompts } = client.getServerCapabilities() ?? {};
if (tools) {
  const listed = (await client.listTools()).tools;
  for (const tool of listed) {
    for (const call of callsOf(tool, listed)) {
      // Some of the suite's servers give no tool that they list, or what this client takes for wrong: what was sent is what counts.
      await client.callTool({ name: tool.name, arguments: call }).catch((error) => console.error(tool.name, error.message));
    }
  }
}
if (resources) {
  for (const { uri } of (await client.listResources()).resources) await client.readResource({ uri });
}
if (prompts) {
  for (const { name } of (await client.listPrompts()).prompts) await client.getPrompt({ name });
}
await client.close();
process.exit(0);
