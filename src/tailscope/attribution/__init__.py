"""Room attribution (to be furnished)."""
