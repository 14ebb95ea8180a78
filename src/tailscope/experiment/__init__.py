"""Room experiment (to be furnished)."""
