"""What falconkit costs, measured beside its peers: ``make bench``; see ``docs/performance.md``."""
