"""Room dissection (to be furnished)."""
