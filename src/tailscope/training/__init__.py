"""Room training (to be furnished)."""
