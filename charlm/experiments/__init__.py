"""Experiments on recurrent and other networks, as commands that anyone can repeat."""
