"""What ``falconkit COMMAND`` does: one file a command, each with an ``add`` that registers it."""
