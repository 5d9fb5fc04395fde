"""The places of the console, one file a place."""
