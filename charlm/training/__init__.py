"""Training: one step, the loop around it, what it saves, and what is settled before it."""
