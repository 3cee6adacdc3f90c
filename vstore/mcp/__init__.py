"""An MCP server for agents: what a store can do as tools, over a pipe or over HTTP on this machine."""
