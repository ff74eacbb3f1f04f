"""From bytes on a pipe to numbered lines in a Redis stream."""
