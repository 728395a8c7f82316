"""``falconkit top``: what a service does, in a terminal; see ``docs/top.md``."""
