"""Room data (to be furnished)."""
