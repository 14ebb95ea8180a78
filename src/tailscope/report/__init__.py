"""Room report (to be furnished)."""
