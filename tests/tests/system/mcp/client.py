"""Calls the tools through the official Python SDK, and tells what came back as JSON."""

import asyncio
import json
import sys

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client


def told(result):
    return {"error": result.is_error, "value": result.structured_content}


async def talk(server, calls):
    async with Client(server) as client:
        tools = (await client.list_tools()).tools
        results = [told(await client.call_tool(name, arguments)) for name, arguments in calls]
        together = await asyncio.gather(
            client.call_tool("shell", {"command": "while [ ! -e go ]; do sleep 0.01; done; echo went"}),
            client.call_tool("shell", {"command": "touch go"}),
        )
    return {
        "tools": {tool.name: tool.annotations.read_only_hint for tool in tools},
        "results": results,
        "together": [told(result) for result in together],
    }


async def main(how, where, calls):
    if how == "stdio":
        answer = await talk(StdioServerParameters(command=where[0], args=where[1:]), calls)
    else:
        url, token = where
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
            answer = await talk(streamable_http_client(url, http_client=http), calls)
    json.dump(answer, sys.stdout)


request = json.load(sys.stdin)
asyncio.run(main(request["how"], request["where"], request["calls"]))
