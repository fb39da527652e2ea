"""Models that answer about items, without torch: labels, tags, other texts; and how good they are."""
