"""Room models (to be furnished)."""
