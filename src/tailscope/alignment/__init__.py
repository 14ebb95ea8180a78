"""Room alignment (to be furnished)."""
