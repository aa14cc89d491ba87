// Does with the TypeScript SDK what a client does, at each place, and prints what came of it, a line of JSON each.
//
// usage: typescript.mjs NODE_MODULES PACKAGE MODE PLACE…
//
// PACKAGE is `sdk`, which knows versions up to 2025-11-25 alone, or `client`, the one that follows it; MODE is what the latter takes:
// `legacy` or `auto`. A place is a URL, or `stdio:PROGRAM,ARGUMENT…`.

import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const [modules, name, mode, ...places] = process.argv.slice(2);
const from = createRequire(join(resolve(modules), "package.json"));
const load = (path) => from(`@modelcontextprotocol/${name}${path}`);
const { Client, StreamableHTTPClientTransport, StdioClientTransport } =
  name === "sdk"
    ? { ...load("/client/index.js"), ...load("/client/streamableHttp.js"), ...load("/client/stdio.js") }
    : { ...load(""), ...load("/stdio") };

function transportOf(place) {
  if (!place.startsWith("stdio:")) return new StreamableHTTPClientTransport(new URL(place));
  const [command, ...args] = place.slice("stdio:".length).split(",");
  return new StdioClientTransport({ command, args, env: process.env });
}

for (const place of places) {
  const client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode } });
  const transport = transportOf(place);
  await client.connect(transport);
  const tools = (await client.listTools()).tools.map((tool) => tool.name);
  const prompts = (await client.listPrompts()).prompts.map((prompt) => prompt.name);
  const tool = tools.find((name) => name.endsWith("test_simple_text"));
  const prompt = prompts.find((name) => name.endsWith("test_simple_prompt"));
  const told = {
    // Over standard streams the older package does not say which version was agreed on: it knows no other.
    version: client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion ?? "2025-11-25",
    tools: tools.length,
    tool: (await client.callTool({ name: tool, arguments: {} })).content[0].text,
    resource: (await client.readResource({ uri: "test://static-text" })).contents[0].text,
    prompt: (await client.getPrompt({ name: prompt })).messages[0].content.text,
  };
  console.log(JSON.stringify(told));
  await client.close();
}
