"""Network namespaces of the runs, and the relay from inside them to the platform's API."""
