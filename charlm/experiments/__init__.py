"""Questions put to recurrent networks and to others, as commands that anyone can repeat."""
