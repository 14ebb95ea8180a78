"""Room stats (to be furnished)."""
