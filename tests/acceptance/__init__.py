"""From the outside: the real command line, the real HTTP API and the published client."""
