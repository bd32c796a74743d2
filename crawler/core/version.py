"""Which ncrawl this is: read by the build, by what is sent, and by what is written down."""

__version__ = "0.1.0"
