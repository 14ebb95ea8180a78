"""Room performance (to be furnished)."""
