"""Other ways to the same counter."""
