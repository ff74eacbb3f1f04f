"""What Prometheus reads of the web tier; runners have their own in `tasks.metrics`."""
