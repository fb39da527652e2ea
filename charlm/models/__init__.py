"""The models in torch: bodies turn ids into features, heads turn features into an answer."""
