"""Room treatments (to be furnished)."""
