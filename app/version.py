"""The version of the platform; pyproject.toml reads it from here."""

PLATFORM_VERSION = "0.5.0"
