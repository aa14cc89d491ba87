"""Does with the Python SDK what a client does, at each place, and prints what came of it, a line of JSON each.

usage: python.py MODE PLACE…

MODE is what the SDK takes: `legacy`, `auto` or a version of 2026. A place is a URL, or `stdio:PROGRAM,ARGUMENT…`.
"""

import asyncio
import json
import os
import sys

from mcp import Client, StdioServerParameters


def server_of(place):
    if not place.startswith("stdio:"):
        return place
    program, *arguments = place.removeprefix("stdio:").split(",")
    return StdioServerParameters(command=program, args=arguments, env=dict(os.environ))


async def visit(mode, place):
    async with Client(server_of(place), mode=mode) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]
        tool = next(name for name in tools if name.endswith("test_simple_text"))
        prompt = next(name for name in prompts if name.endswith("test_simple_prompt"))
        return {
            "version": client.protocol_version,
            "tools": len(tools),
            "tool": (await client.call_tool(tool, {})).content[0].text,
            "resource": (await client.read_resource("test://static-text")).contents[0].text,
            "prompt": (await client.get_prompt(prompt)).messages[0].content.text,
        }


async def main():
    mode, *places = sys.argv[1:]
    for place in places:
        print(json.dumps(await visit(mode, place)), flush=True)


asyncio.run(main())
