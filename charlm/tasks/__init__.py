"""Models that answer about items, without torch, and how good their answers are."""
