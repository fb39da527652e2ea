"""The models in torch: bodies, which read, and heads, which say what was asked."""
