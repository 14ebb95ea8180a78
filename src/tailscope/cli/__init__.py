"""Room cli (to be furnished)."""
