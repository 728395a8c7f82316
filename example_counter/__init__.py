"""The counter service: ``POST /add`` keeps a running total."""
