"""The version of the platform."""

from importlib.metadata import version

PLATFORM_VERSION = version("sequence-platform")
